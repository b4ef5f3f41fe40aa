//! An image as one file: an OCI archive, which containerd, Podman, skopeo and `kind load image-archive` read.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::image::architecture::Architecture;
use crate::image::layer::{Layer, digest, uncompress};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The annotation from which containerd reads the whole reference.
const NAME: &str = "io.containerd.image.name";
/// The annotation from which all other tools read the tag.
const TAG: &str = "org.opencontainers.image.ref.name";

/// The same in every build, so that the bytes are too.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// An image for one architecture.
#[derive(Clone)]
pub struct Image {
    /// Repository and tag.
    pub reference: String,
    pub architecture: Architecture,
    pub defaults: Defaults,
    pub layers: Vec<Layer>,
}

/// How a container runs by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Defaults {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[expect(clippy::zero_sized_map_values, reason = "the specification writes a set like this")]
    pub exposed_ports: BTreeMap<String, Exposed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Defaults {
    /// Sets a variable, and replaces one with the same name.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let is_other = |entry: &String| entry.split_once('=').is_none_or(|(other, _)| other != name);
        self.env.retain(is_other);
        self.env.push(format!("{name}={value}"));
    }
}

/// The value for an exposed port, which is always empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exposed {}

/// The written archive.
pub struct Written {
    /// The image's digest in a registry, and in the chart's `image.digest`.
    pub digest: String,
    /// The compressed bytes of the layers that a node downloads, of the largest architecture.
    pub bytes: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: String,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: usize,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
}

#[derive(Serialize, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Platform {
    fn of(image: &Image) -> Self {
        Self { architecture: image.architecture.name().to_owned(), os: "linux".to_owned() }
    }
}

#[derive(Serialize, Deserialize)]
struct Config {
    created: String,
    #[serde(flatten)]
    platform: Platform,
    #[serde(rename = "config")]
    defaults: Defaults,
    rootfs: Rootfs,
}

#[derive(Serialize, Deserialize)]
struct Rootfs {
    r#type: String,
    diff_ids: Vec<String>,
}

/// Writes the archive, completely or not at all.
pub fn write(image: &Image, output: &Path) -> Result<Written> {
    let packed = Packed::new(image)?;
    let described = packed.described();
    save_all(&[packed], &[], described, output)
}

/// Writes an archive with the same image for several architectures: an index, from which each node selects its image.
///
/// Docker's classic image store does not support an index, and loads the first image.
pub fn write_index(images: &[Image], output: &Path) -> Result<Written> {
    let packed: Vec<_> = images.iter().map(Packed::new).collect::<Result<_>>()?;
    let manifests = packed.iter().map(Packed::described).collect();
    let index = to_json(&Index { schema_version: 2, media_type: INDEX.to_owned(), manifests })?;
    save_all(&packed, &[&index], Descriptor::new(INDEX, &index), output)
}

/// An image with the two blobs that describe it.
struct Packed<'a> {
    image: &'a Image,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl<'a> Packed<'a> {
    fn new(image: &'a Image) -> Result<Self> {
        let diff_ids = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let config = to_json(&Config {
            created: CREATED.to_owned(),
            platform: Platform::of(image),
            defaults: image.defaults.clone(),
            rootfs: Rootfs { r#type: "layers".to_owned(), diff_ids },
        })?;
        let manifest = to_json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: Descriptor::new(CONFIG, &config),
            layers: image.layers.iter().map(|layer| Descriptor::new(LAYER, &layer.blob)).collect(),
        })?;
        Ok(Self { image, config, manifest })
    }

    fn described(&self) -> Descriptor {
        let platform = Some(Platform::of(self.image));
        Descriptor { platform, ..Descriptor::new(MANIFEST, &self.manifest) }
    }

    fn blobs(&self) -> impl Iterator<Item = &[u8]> {
        let layers = self.image.layers.iter().map(|layer| &*layer.blob);
        layers.chain([&*self.config, &*self.manifest])
    }

    /// The compressed bytes of the layers.
    fn bytes(&self) -> usize {
        self.image.layers.iter().map(|layer| layer.blob.len()).sum()
    }
}

/// Writes an archive whose index has only `described`, under the name of the first image. `others` are blobs of no image.
fn save_all(packed: &[Packed], others: &[&[u8]], described: Descriptor, output: &Path) -> Result<Written> {
    let first = packed.first().context("an archive of no image")?;
    let reference = &first.image.reference;
    let name = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let annotations = [name(NAME, reference), name(TAG, tag(reference)?)].into();
    let written = Written {
        digest: described.digest.clone(),
        bytes: packed.iter().map(Packed::bytes).max().unwrap_or_default(),
    };
    let manifests = vec![Descriptor { annotations, ..described }];
    let index = to_json(&Index { schema_version: 2, media_type: INDEX.to_owned(), manifests })?;
    // Docker before its containerd store reads this instead of the index.
    let layers: Vec<_> = first.image.layers.iter().map(|layer| path_of(&layer.digest)).collect();
    let docker = to_json(&[json!({
        "Config": path_of(&digest(&first.config)),
        "Layers": layers,
        "RepoTags": [reference],
    })])?;

    let mut files: BTreeMap<String, &[u8]> = BTreeMap::new();
    for blob in packed.iter().flat_map(Packed::blobs).chain(others.iter().copied()) {
        files.insert(path_of(&digest(blob)), blob);
    }
    files.insert("index.json".to_owned(), &index);
    files.insert("manifest.json".to_owned(), &docker);
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#);
    save(&files, output).with_context(|| format!("write {}", output.display()))?;
    Ok(written)
}

/// Reads an archive that [`write`] wrote.
pub fn read(path: &Path) -> Result<Image> {
    load(path).with_context(|| format!("read the image {}", path.display()))
}

fn load(path: &Path) -> Result<Image> {
    let mut files = files(path)?;
    let index: Index = from_json(files.get("index.json").context("no `index.json`")?)?;
    let [described] = &*index.manifests else { bail!("not one image but {}", index.manifests.len()) };
    let reference = described.annotations.get(NAME).with_context(|| format!("no `{NAME}`"))?.clone();
    let mut blob = |Descriptor { digest: named, .. }: &Descriptor| {
        let blob = files.remove(&path_of(named)).with_context(|| format!("no blob `{named}`"))?;
        if digest(&blob) != *named {
            bail!("blob `{named}` is damaged");
        }
        Ok(blob)
    };
    let manifest: Manifest = from_json(&blob(described)?)?;
    let config: Config = from_json(&blob(&manifest.config)?)?;
    let mut layers = Vec::new();
    for described in &manifest.layers {
        let blob = blob(described)?;
        layers.push(Layer { digest: described.digest.clone(), diff_id: digest(&uncompress(&blob)?), blob });
    }
    if !layers.iter().map(|layer| &layer.diff_id).eq(&config.rootfs.diff_ids) {
        bail!("the layers are not those of the configuration");
    }
    let named = &config.platform.architecture;
    let architecture = Architecture::ALL.into_iter().find(|known| known.name() == named);
    let architecture = architecture.with_context(|| format!("no image for {named} is known"))?;
    Ok(Image { reference, architecture, defaults: config.defaults, layers })
}

/// The contents of an archive, by path.
fn files(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(BufReader::new(File::open(path)?)).entries()? {
        let mut entry = entry?;
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents)?;
        files.insert(entry.path()?.display().to_string(), contents);
    }
    Ok(files)
}

impl Descriptor {
    fn new(media_type: &str, blob: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(blob),
            size: blob.len(),
            annotations: BTreeMap::new(),
            platform: None,
        }
    }
}

/// Writes under another name first, so that a test never imports half an archive.
fn save(files: &BTreeMap<String, &[u8]>, output: &Path) -> Result<()> {
    let folder = output.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let partial = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    let mut archive = tar::Builder::new(BufWriter::new(&partial));
    for (path, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(contents.len() as u64);
        archive.append_data(&mut header, path, *contents)?;
    }
    archive.into_inner()?.flush()?;
    partial.persist(output)?;
    Ok(())
}

/// The path of a blob in the archive.
fn path_of(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// The text after the last colon. A port is no tag: a slash follows it.
fn tag(reference: &str) -> Result<&str> {
    let tag = reference.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    tag.with_context(|| format!("`{reference}` has no tag"))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::image::layer::Entry;

    fn image() -> Image {
        let layer = |text: &str| Layer::new(vec![Entry::file("/a", 0o644, text)]).expect("a layer");
        let mut defaults = Defaults { cmd: vec!["a".to_owned()], ..Defaults::default() };
        defaults.set_env("PATH", "/bin");
        Image {
            reference: "localhost:5000/a/b:1".to_owned(),
            architecture: Architecture::Amd64,
            defaults,
            layers: vec![layer("1"), layer("2")],
        }
    }

    #[test]
    fn the_layout_is_as_specified() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/image.tar");
        let written = write(&image(), &path).expect("an archive");
        let files = files(&path).expect("an archive");
        let json = |path: &str| serde_json::from_slice::<Value>(&files[path]).expect("JSON");
        assert_eq!(json("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }));
        let described = &json("index.json")["manifests"][0];
        assert_eq!(described["digest"], *written.digest);
        assert_eq!(described["annotations"][NAME], "localhost:5000/a/b:1");
        assert_eq!(described["annotations"][TAG], "1");
        assert_eq!(described["platform"]["os"], "linux");
        let manifest = json(&path_of(&written.digest));
        let config = json(&path_of(manifest["config"]["digest"].as_str().expect("a digest")));
        assert_eq!(config["config"], json!({ "Cmd": ["a"], "Env": ["PATH=/bin"] }));
        assert_eq!(config["created"], CREATED);
        for at in 0..2 {
            let named = manifest["layers"][at]["digest"].as_str().expect("a digest");
            let blob = &files[&path_of(named)];
            assert_eq!(digest(blob), named);
            assert_eq!(manifest["layers"][at]["size"], blob.len());
            assert_eq!(config["rootfs"]["diff_ids"][at], digest(&uncompress(blob).expect("gzip")));
        }
        assert_eq!(files.len(), 3 + 2 + 2);
    }

    #[test]
    fn an_index_leads_to_an_image_for_each_architecture() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.tar");
        let images = Architecture::ALL.map(|architecture| Image { architecture, ..image() });
        let written = write_index(&images, &path).expect("an archive");
        let files = files(&path).expect("an archive");
        let json = |path: &str| serde_json::from_slice::<Value>(&files[path]).expect("JSON");
        let described = &json("index.json")["manifests"][0];
        assert_eq!(described["digest"], *written.digest);
        assert_eq!(described["mediaType"], INDEX);
        let index = json(&path_of(&written.digest));
        let each = index["manifests"].as_array().expect("a list");
        let named: Vec<_> = each.iter().map(|one| one["platform"]["architecture"].clone()).collect();
        assert_eq!(named, ["amd64", "arm64"]);
        for one in each {
            let manifest = json(&path_of(one["digest"].as_str().expect("a digest")));
            let config = json(&path_of(manifest["config"]["digest"].as_str().expect("a digest")));
            assert_eq!(config["architecture"], one["platform"]["architecture"]);
        }
        let docker = json("manifest.json");
        assert_eq!(docker.as_array().map(Vec::len), Some(1));
        assert!(files.contains_key(docker[0]["Config"].as_str().expect("a path")));
    }

    #[test]
    fn the_same_image_is_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two, copy] = ["one", "two", "copy"].map(|name| folder.path().join(name));
        write(&image(), &one).expect("an archive");
        write(&image(), &two).expect("an archive");
        write(&read(&one).expect("an image"), &copy).expect("an archive");
        let bytes = fs::read(&one).expect("an archive");
        assert_eq!(bytes, fs::read(&two).expect("an archive"));
        assert_eq!(bytes, fs::read(&copy).expect("an archive"));
    }

    #[test]
    fn a_damaged_blob_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image.tar");
        write(&image(), &path).expect("an archive");
        let mut bytes = fs::read(&path).expect("an archive");
        // The magic number of the first layer's gzip.
        let at = bytes.windows(3).position(|window| window == [0x1f, 0x8b, 8]).expect("a layer");
        bytes[at + 4] ^= 1;
        fs::write(&path, bytes).expect("a file");
        let error = read(&path).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.ends_with("is damaged"), "{error}");
    }

    #[test]
    fn a_reference_needs_a_tag() {
        assert_eq!(tag("localhost:5000/a:b").ok(), Some("b"));
        assert_eq!(tag("a:1.2").ok(), Some("1.2"));
        assert!(tag("localhost:5000/a").is_err());
        assert!(tag("a").is_err());
    }
}
