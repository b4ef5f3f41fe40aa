//! One layer of an image: files, folders and links, packed so that the same entries always give the same bytes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// What is at one path. The folders above it need no entries.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Entry {
    pub path: String,
    mode: u32,
    /// The number of both user and group.
    owner: u64,
    node: Node,
}

#[cfg_attr(test, derive(Debug, PartialEq))]
enum Node {
    Folder,
    File(Vec<u8>),
    Link(String),
}

impl Entry {
    pub fn folder(path: &str, mode: u32) -> Self {
        Self::new(path, mode, Node::Folder)
    }

    pub fn file(path: &str, mode: u32, contents: impl Into<Vec<u8>>) -> Self {
        Self::new(path, mode, Node::File(contents.into()))
    }

    pub fn link(path: &str, target: &str) -> Self {
        Self::new(path, 0o777, Node::Link(target.to_owned()))
    }

    /// Sets the owner; the default is root.
    pub fn owned_by(self, owner: u64) -> Self {
        Self { owner, ..self }
    }

    fn new(path: &str, mode: u32, node: Node) -> Self {
        Self { path: path.trim_matches('/').to_owned(), mode, owner: 0, node }
    }
}

/// A packed and compressed layer, with the two digests that an image has of it.
#[derive(Clone)]
pub struct Layer {
    /// The digest of the compressed bytes.
    pub digest: String,
    /// The digest of the tar in it.
    pub diff_id: String,
    pub blob: Vec<u8>,
}

impl Layer {
    pub fn new(entries: Vec<Entry>) -> Result<Self> {
        Self::compress(&pack(entries)?)
    }

    /// Compresses the tar. The header of the gzip has neither a time nor a machine in it.
    pub fn compress(tar: &[u8]) -> Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(tar)?;
        let blob = encoder.finish()?;
        Ok(Self { digest: digest(&blob), diff_id: digest(tar), blob })
    }

    /// The layer's entries, for tests.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut archive = tar::Archive::new(GzDecoder::new(&*self.blob));
        let mut entries = Vec::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let header = entry.header().clone();
            let node = match header.entry_type() {
                tar::EntryType::Directory => Node::Folder,
                tar::EntryType::Symlink => {
                    Node::Link(entry.link_name()?.context("a link without a target")?.display().to_string())
                }
                _ => {
                    let mut contents = Vec::new();
                    entry.read_to_end(&mut contents)?;
                    Node::File(contents)
                }
            };
            let path = entry.path()?.display().to_string();
            entries.push(Entry::new(&path, header.mode()?, node).owned_by(header.uid()?));
        }
        Ok(entries)
    }
}

/// Packs a tar, sorted by path, with every folder that a path needs. Every time in it is 1970.
pub fn pack(entries: Vec<Entry>) -> Result<Vec<u8>> {
    let mut tree = BTreeMap::new();
    for entry in entries {
        match tree.entry(entry.path.clone()) {
            Slot::Vacant(slot) => slot.insert(entry),
            Slot::Occupied(_) => bail!("`/{}` is in the layer twice", entry.path),
        };
    }
    let paths: Vec<String> = tree.keys().cloned().collect();
    for path in paths {
        // The last of the ancestors is the empty path, which is the root of the image.
        for folder in Path::new(&path).ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
            let folder = folder.to_str().context("the path was UTF-8")?;
            tree.entry(folder.to_owned()).or_insert_with(|| Entry::folder(folder, 0o755));
        }
    }
    let mut archive = tar::Builder::new(Vec::new());
    for Entry { path, mode, owner, node } in tree.values() {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(*owner);
        header.set_gid(*owner);
        header.set_mtime(0);
        header.set_size(0);
        match node {
            Node::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, format!("{path}/"), &[][..])?;
            }
            Node::File(contents) => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(contents.len() as u64);
                archive.append_data(&mut header, path, &**contents)?;
            }
            Node::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, path, target)?;
            }
        }
    }
    Ok(archive.into_inner()?)
}

/// The digest by which a registry names these bytes.
pub fn digest(bytes: &[u8]) -> String {
    let mut name = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        write!(name, "{byte:02x}").expect("writing to a string");
    }
    name
}

/// Returns the tar in the layer.
pub fn uncompress(blob: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    GzDecoder::new(blob).read_to_end(&mut tar)?;
    Ok(tar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_entries_are_given_does_not_matter() {
        let entries =
            || [Entry::file("/b/c", 0o644, "c"), Entry::link("a", "b/c"), Entry::folder("/b", 0o1777)];
        let mut reverse: Vec<_> = entries().into();
        reverse.reverse();
        let layer = Layer::new(entries().into()).expect("a layer");
        assert_eq!(layer.blob, Layer::new(reverse).expect("a layer").blob);
        assert_eq!(layer.diff_id, digest(&uncompress(&layer.blob).expect("gzip")));
    }

    #[test]
    fn a_path_brings_its_folders() {
        let entries = vec![Entry::file("/srv/a/b", 0o600, "b").owned_by(1001), Entry::folder("/srv", 0o1777)];
        let read = Layer::new(entries).and_then(|layer| layer.entries()).expect("a layer");
        let file = Entry::file("srv/a/b", 0o600, "b").owned_by(1001);
        assert_eq!(read, [Entry::folder("srv", 0o1777), Entry::folder("srv/a", 0o755), file]);
    }

    #[test]
    fn a_path_cannot_be_two_things() {
        let twice = vec![Entry::folder("/a", 0o755), Entry::link("a", "b")];
        assert_eq!(
            Layer::new(twice).err().map(|error| error.to_string()),
            Some("`/a` is in the layer twice".into())
        );
    }

    #[test]
    fn long_paths_are_kept() {
        let long = format!("{}/{}", "a".repeat(90), "b".repeat(90));
        let read = Layer::new(vec![Entry::file(&long, 0o644, "c")]).and_then(|layer| layer.entries());
        assert_eq!(read.expect("a layer")[1], Entry::file(&long, 0o644, "c"));
    }
}
