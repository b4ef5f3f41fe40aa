//! Files of values drawn from the schema: most of them possible, some a little wrong.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::fits::fits;
use super::pattern;

/// What is not drawn, and why.
const NOT_DRAWN: &[&str] = &[
    // A network has to lie in another, or to end with zeros; no expression can say that.
    "ipBlock",
    "loadBalancerSourceRanges",
    // Depends on the resource.
    "divisor",
    // Kubernetes alone checks what is in them, or the server has no such kind.
    "extraContainers",
    "extraInitContainers",
    "extraObjects",
    "httpRoute",
    "lifecycle",
    "serviceMonitor",
    // Depends on the cluster: its range of ports, and its families of addresses.
    "nodePort",
    "ipFamilies",
    "ipFamilyPolicy",
    // Their rules are between lists.
    "matchLabelKeys",
    "mismatchLabelKeys",
];

/// Texts for which the schema has no form.
const TEXTS: &[&str] = &[
    "a",
    "0",
    "007",
    "1e3",
    "true",
    "null",
    "~",
    "- a",
    "a: b",
    "#",
    "ü€😀",
    " a ",
    "it's",
    "\"",
    "'",
    "a\nb",
    "\ta",
    "a\\b",
    "{{ .Release.Name }}",
    "{{",
    "$(HOME)",
    "%s",
    "postgres://u:p%40@h:5432/d?sslmode=require",
    "@x",
    "`",
    "a,b=c",
    "\u{1}",
];

/// In place of what belongs there.
fn wrong(dice: &mut Dice, right: &Value) -> Value {
    match right {
        Value::String(text) if dice.one_in(2) => {
            let others = [
                format!("{text}_"),
                format!("-{text}"),
                text.to_uppercase(),
                format!("{text} b"),
                "a".repeat(254),
                format!("{text}.."),
            ];
            json!(dice.pick(&others))
        }
        Value::Array(items) if !items.is_empty() => {
            json!(items.iter().chain(items).collect::<Vec<_>>())
        }
        _ => {
            let others = [
                json!(null),
                json!(true),
                json!(-1),
                json!(1.5),
                json!(1e20),
                json!(4_294_967_296_i64),
                json!("1"),
                json!(""),
                json!([]),
                json!({}),
                json!([{}]),
                json!({"unknown": 1}),
                json!([null]),
                json!(12_345_678),
            ];
            dice.pick(&others).clone()
        }
    }
}

pub(super) struct Drawing<'a> {
    pub(super) schema: &'a Value,
    pub(super) dice: Dice,
    /// One in so many values is wrong; 0 is none.
    pub(super) wrong: usize,
}

impl Drawing<'_> {
    /// A whole file.
    pub(super) fn file(&mut self) -> Value {
        let mut file = self.section(self.schema);
        self.make_plausible(&mut file);
        file
    }

    /// Some keys of a section, and of the sections in it.
    fn section(&mut self, schema: &Value) -> Value {
        let mut values = Map::new();
        for (name, property) in schema["properties"].as_object().expect("a section has keys") {
            let is_section = property.get("properties").is_some();
            let is_removed = property.get("type").is_none()
                && property.get("allOf").is_none()
                && property.get("anyOf").is_none();
            let is_drawn = !NOT_DRAWN.contains(&name.as_str());
            if is_removed || !is_drawn || (!is_section && !self.dice.one_in(6)) {
                continue;
            }
            let value = if is_section { self.section(property) } else { self.value(property, name) };
            if value != json!({}) || self.dice.one_in(4) {
                values.insert(name.clone(), value);
            }
        }
        values.into()
    }

    /// A value that fits, if that is found; or one that is wrong.
    fn value(&mut self, schema: &Value, name: &str) -> Value {
        let mut value = Value::Null;
        for _ in 0..20 {
            value = self.attempt(schema, name);
            if fits(self.schema, schema, &value) {
                break;
            }
        }
        if self.wrong > 0 && self.dice.one_in(self.wrong) { wrong(&mut self.dice, &value) } else { value }
    }

    fn attempt(&mut self, schema: &Value, name: &str) -> Value {
        if let Some(target) = schema["$ref"].as_str() {
            let target = self.schema.pointer(target.trim_start_matches('#')).expect("a definition");
            return self.value(target, name);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(words) = schema["enum"].as_array() {
            return self.dice.pick(words).clone();
        }
        if let Some(either) = schema["anyOf"].as_array() {
            let one = self.dice.pick(either).clone();
            return self.value(&one, name);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) if kinds.len() == 2 && kinds[1] == "null" && !self.dice.one_in(8) => {
                kinds[0].clone()
            }
            Value::Array(kinds) => self.dice.pick(kinds).clone(),
            Value::Null => return self.value(&schema["allOf"][0], name),
            kind => kind.clone(),
        };
        match kind.as_str().expect("a type is a word") {
            "boolean" => json!(self.dice.one_in(2)),
            "integer" => self.integer(schema),
            "number" => {
                let numbers = [
                    json!(0),
                    json!(1),
                    json!(12_345_678),
                    json!(0.5),
                    json!(1000.25),
                    json!(9_007_199_254_740_991_i64),
                ];
                self.dice.pick(&numbers).clone()
            }
            "string" => json!(self.text(schema)),
            "array" => {
                let least = usize::try_from(schema["minItems"].as_u64().unwrap_or(0)).expect("small");
                let many = least + self.dice.below(3);
                let items = schema.get("items").cloned().unwrap_or_else(|| json!({"type": "string"}));
                (0..many).map(|_| self.value(&items, name)).collect()
            }
            "object" => self.object(schema),
            _ => Value::Null,
        }
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let least = schema["minimum"].as_i64().unwrap_or(-1);
        let most = schema["maximum"].as_i64().unwrap_or(1 << 40);
        let near = least + i64::try_from(self.dice.below(12)).expect("small");
        json!(*self.dice.pick(&[least, near, near, 1_234_567, most]))
    }

    fn text(&mut self, schema: &Value) -> String {
        let Some(pattern) = schema["pattern"].as_str() else { return (*self.dice.pick(TEXTS)).to_owned() };
        let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        loop {
            let text = pattern::text(pattern, &mut self.dice);
            if text.len() as u64 <= longest {
                return text;
            }
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let mut object = Map::new();
        if let Some(properties) = schema["properties"].as_object() {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let most = usize::try_from(schema["maxProperties"].as_u64().unwrap_or(99)).expect("small");
            // What the schema does not describe is Kubernetes' to check.
            let is_described = |property: &Value| *property != json!({"type": "object"});
            let mut names: Vec<_> = properties
                .iter()
                .filter(|(name, property)| !NOT_DRAWN.contains(&name.as_str()) && is_described(property))
                .map(|(name, _)| name.clone())
                .collect();
            names.sort_by_cached_key(|name| (!required.contains(&json!(name)), self.dice.below(1000)));
            for (at, name) in names.iter().enumerate().take(most) {
                if at < required.len().max(1)
                    || at < usize::try_from(schema["minProperties"].as_u64().unwrap_or(0)).expect("small")
                    || self.dice.one_in(3)
                {
                    object.insert(name.clone(), self.value(&properties[name], name));
                }
            }
        } else if schema["additionalProperties"].is_object() {
            for _ in 0..self.dice.below(3) {
                let name = match schema["propertyNames"]["pattern"].as_str() {
                    Some(pattern) => pattern::text(pattern, &mut self.dice),
                    None => "key".to_owned(),
                };
                let special = schema["patternProperties"].as_object().and_then(|special| {
                    special.iter().find(|(part, _)| name.contains(part.as_str())).map(|(_, schema)| schema)
                });
                let of = special.unwrap_or(&schema["additionalProperties"]);
                object.insert(name, self.value(of, ""));
            }
        }
        object.into()
    }

    /// Makes what follows from several keys likely to work.
    fn remove_what_needs_more(&mut self, file: &mut Value) {
        let is_balancer = file.pointer("/service/type") == Some(&json!("LoadBalancer"));
        for (section, key) in NEEDS_MORE {
            let has_more = is_balancer && *section == "/service";
            if !has_more && !self.dice.one_in(8) {
                remove(file, section, key);
            }
        }
    }

    fn make_plausible(&mut self, file: &mut Value) {
        if !self.dice.one_in(30) {
            set(file, "/corveil/secretKey", &json!("key"));
            set(file, "/externalDatabase/url", &json!("postgres://app:secret@database/app"));
            remove(file, "/migrate/adopt", "to");
        }
        if !self.dice.one_in(8) {
            for key in ["activeDeadlineSeconds", "waitForDb", "lockWait"] {
                remove(file, "/migrate", key);
            }
            remove(file, "/migrate/argocd", "phase");
        }
        for (section, volumes, mounts) in [
            ("", "/extraVolumes", "/extraVolumeMounts"),
            ("/migrate", "/migrate/extraVolumes", "/migrate/extraVolumeMounts"),
        ] {
            let names: Vec<_> = match file.pointer(volumes) {
                Some(Value::Array(volumes)) => volumes.iter().map(|volume| volume["name"].clone()).collect(),
                _ => Vec::new(),
            };
            if names.is_empty() && !self.dice.one_in(10) {
                remove(file, section, "extraVolumeMounts");
            }
            if let Some(Value::Array(mounts)) = file.pointer_mut(mounts) {
                for mount in mounts.iter_mut().filter(|mount| mount.is_object()) {
                    if !names.is_empty() && !self.dice.one_in(20) {
                        mount["name"] = self.dice.pick(&names).clone();
                    }
                }
            }
        }
        for image in ["/image", "/postgresql/image", "/redis/image"] {
            for key in ["tag", "digest"] {
                let is_number = file.pointer(&format!("{image}/{key}")).is_some_and(Value::is_number);
                if is_number && !self.dice.one_in(10) {
                    remove(file, image, key);
                }
            }
        }
        self.remove_what_needs_more(file);
        for section in ["", "/migrate", "/wait"] {
            let resources = format!("{section}/resources");
            if !self.dice.one_in(8)
                && let Some(limits) = file.pointer(&format!("{resources}/limits")).cloned()
            {
                set(file, &format!("{resources}/requests"), &limits);
            } else if !self.dice.one_in(8) {
                remove(file, &resources, "requests");
            }
        }
    }
}

/// Keys that are refused alone, and would leave few files to send to the server.
const NEEDS_MORE: &[(&str, &str)] = &[
    ("", "enabled"),
    ("", "dnsPolicy"),
    ("", "minReadySeconds"),
    ("", "terminationGracePeriodSeconds"),
    ("/global", "storageClass"),
    ("/global", "defaultStorageClass"),
    ("/migrate/database", "key"),
    ("/postgresql/auth", "existingSecret"),
    ("/postgresql/primary/persistence", "existingClaim"),
    ("/postgresql/primary/persistence", "storageClass"),
    // Its volume is that of one major version of PostgreSQL.
    ("/postgresql/image", "tag"),
    ("/postgresql/image", "repository"),
    ("/postgresql/image", "digest"),
    ("/service", "externalTrafficPolicy"),
    ("/service", "loadBalancerClass"),
];

/// Puts a value there, with the sections above it.
fn set(file: &mut Value, pointer: &str, value: &Value) {
    let mut at = file;
    for key in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key];
    }
    *at = value.clone();
}

fn remove(file: &mut Value, section: &str, key: &str) {
    if let Some(Value::Object(section)) = file.pointer_mut(section) {
        section.remove(key);
    }
}
