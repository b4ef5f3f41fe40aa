//! A real API server without a node: etcd, kube-apiserver, and kubectl's proxy, through which plain HTTP reaches it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rcgen::KeyPair;
use serde_json::{Value, json};
use xshell::Shell;

use xtask::project::tail::tail;
use xtask::render::NAMESPACE;
use xtask::tools::{self, Tool};

/// It starts within seconds; on a busy machine all of them need longer.
const BOUND: Duration = Duration::from_mins(2);

/// Known to this server alone, and only while it runs.
const TOKEN: &str = "test";

/// Group and version, plural and kind of what the chart renders.
const KINDS: &[(&str, &str, &str)] = &[
    ("v1", "configmaps", "ConfigMap"),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("v1", "pods", "Pod"),
    ("v1", "secrets", "Secret"),
    ("v1", "serviceaccounts", "ServiceAccount"),
    ("v1", "services", "Service"),
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("batch/v1", "jobs", "Job"),
    ("networking.istio.io/v1", "virtualservices", "VirtualService"),
    ("networking.k8s.io/v1", "ingresses", "Ingress"),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    ("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("security.istio.io/v1", "peerauthentications", "PeerAuthentication"),
];

pub(crate) struct Server {
    processes: Vec<Child>,
    proxy: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let sh = Shell::new()?;
        sh.change_dir(xtask::project::root());
        let folder = tempfile::tempdir()?;
        let at = folder.path().to_owned();
        let [etcd, peers, api] = free_ports()?;
        let mut server = Self { processes: Vec::new(), proxy: 0, folder };
        let (client, peer) = (format!("http://127.0.0.1:{etcd}"), format!("http://127.0.0.1:{peers}"));
        server.run(
            &at,
            &tools::built(&sh, Tool::Etcd, "etcd")?,
            &[
                format!("--data-dir={}", at.join("data").display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=default={peer}"),
                "--unsafe-no-fsync".to_owned(),
                "--log-level=warn".to_owned(),
            ],
        )?;
        std::fs::write(at.join("tokens.csv"), format!("{TOKEN},test,test,system:masters\n"))?;
        let keys = KeyPair::generate()?;
        let [private, public] = ["key.pem", "key.pub"].map(|file| at.join(file));
        std::fs::write(&private, keys.serialize_pem())?;
        std::fs::write(&public, keys.public_key_pem())?;
        server.run(
            &at,
            &tools::built(&sh, Tool::Kubernetes, "kube-apiserver")?,
            &[
                format!("--etcd-servers={client}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--secure-port={api}"),
                format!("--cert-dir={}", at.join("certificates").display()),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--service-account-issuer=https://test".to_owned(),
                format!("--service-account-key-file={}", public.display()),
                format!("--service-account-signing-key-file={}", private.display()),
                format!("--token-auth-file={}", at.join("tokens.csv").display()),
                // No controller makes the accounts that it looks for.
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--allow-privileged=true".to_owned(),
                // As the oldest version that the chart supports.
                "--feature-gates=RelaxedServiceNameValidation=false".to_owned(),
            ],
        )?;
        let kubectl = tools::built(&sh, Tool::Kubernetes, "kubectl")?;
        let arguments = [
            format!("--server=https://127.0.0.1:{api}"),
            format!("--token={TOKEN}"),
            "--insecure-skip-tls-verify".to_owned(),
            "--kubeconfig=/dev/null".to_owned(),
            "proxy".to_owned(),
            "--port=0".to_owned(),
        ];
        let mut proxy =
            Command::new(kubectl).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().context("its output is ours")?).read_line(&mut line)?;
        server.processes.push(proxy);
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        server.proxy = port.with_context(|| format!("kubectl's proxy says where it listens: {line}"))?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": format!("https://127.0.0.1:{api}"), "insecure-skip-tls-verify": true}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        std::fs::write(server.kubeconfig(), config.to_string())?;
        server.wait(&at)?;
        server.prepare()?;
        Ok(server)
    }

    /// For programs that talk to it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn run(&mut self, at: &Path, program: &Path, arguments: &[String]) -> Result<()> {
        let name = program.file_name().context("a program has a name")?;
        let log = File::create(at.join(name).with_extension("log"))?;
        let command = Command::new(program)
            .args(arguments)
            .current_dir(at)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        self.processes.push(command.with_context(|| format!("start {}", program.display()))?);
        Ok(())
    }

    fn wait(&mut self, at: &Path) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Ok((200, _)) = self.connect().and_then(|mut client| client.ask("GET", "/readyz", "", "")) {
                return Ok(());
            }
            let log = tail(&at.join("kube-apiserver.log"));
            ensure!(self.processes[1].try_wait()?.is_none(), "kube-apiserver ended; {log}");
            ensure!(start.elapsed() < BOUND, "kube-apiserver is not ready; {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The namespace, and Istio's kinds: of their fields `decode` is the judge.
    fn prepare(&self) -> Result<()> {
        let mut client = self.connect()?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        client.post("/api/v1/namespaces", &namespace).map_err(anyhow::Error::msg)?;
        for (version, plural, kind) in KINDS.iter().filter(|(version, ..)| version.contains("istio")) {
            let (group, version) = version.split_once('/').context("a group")?;
            let schema =
                json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {
                    "group": group,
                    "names": {"plural": plural, "kind": kind},
                    "scope": "Namespaced",
                    "versions": [{"name": version, "served": true, "storage": true, "schema": schema}],
                },
            });
            client
                .post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition)
                .map_err(anyhow::Error::msg)?;
            let path = format!("/apis/{group}/{version}/namespaces/{NAMESPACE}/{plural}");
            let start = Instant::now();
            while client.ask("GET", &path, "", "")?.0 != 200 {
                ensure!(start.elapsed() < BOUND, "`{plural}` is not served");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", self.proxy))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(BOUND))?;
        Ok(Client { reader: BufReader::new(stream.try_clone()?), writer: stream })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // It may have ended by itself; there is nobody left to tell.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Client {
    /// Whether the server would take the object, created as Helm 3 does and applied as Helm 4 does; or why not.
    pub(crate) fn accepts(&mut self, object: &Value) -> Result<(), String> {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let known = KINDS.iter().find(|(v, _, k)| *v == version && *k == kind);
        let Some((_, plural, _)) = known else {
            return Err(format!("`{kind}` of `{version}` is not known here"));
        };
        let root = if version == "v1" { "api" } else { "apis" };
        let path = format!("/{root}/{version}/namespaces/{NAMESPACE}/{plural}");
        let strictly = "dryRun=All&fieldValidation=Strict";
        self.post(&format!("{path}?{strictly}"), object)?;
        let name = text(&object["metadata"]["name"]);
        let applied = format!("{path}/{name}?{strictly}&fieldManager=helm&force=true");
        self.said("PATCH", &applied, "application/apply-patch+yaml", object)
    }

    fn post(&mut self, path: &str, object: &Value) -> Result<(), String> {
        self.said("POST", path, "application/json", object)
    }

    fn said(&mut self, method: &str, path: &str, kind: &str, object: &Value) -> Result<(), String> {
        match self.ask(method, path, kind, &object.to_string()) {
            Ok((200 | 201, _)) => Ok(()),
            Ok((code, answer)) => {
                let answer: Value = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
                Err(format!("{code} {}", answer["message"].as_str().unwrap_or_default()))
            }
            Err(error) => Err(format!("{error:#}")),
        }
    }

    fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.writer.write_all(head.as_bytes())?;
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a status")?;
        let (mut length, mut is_chunked) = (0, false);
        loop {
            let line = self.line()?.to_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(("transfer-encoding", "chunked")) => is_chunked = true,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = Vec::new();
        if is_chunked {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16)?;
                self.read(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.read(length, &mut body)?;
        }
        Ok((code, String::from_utf8(body)?))
    }

    fn read(&mut self, size: usize, body: &mut Vec<u8>) -> Result<()> {
        let read = (&mut self.reader).take(size as u64).read_to_end(body)?;
        ensure!(read == size, "the connection ended");
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the connection ended");
        }
        Ok(line.trim_end().to_owned())
    }
}

fn free_ports() -> Result<[u16; 3]> {
    // All at once, so that they differ.
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}
