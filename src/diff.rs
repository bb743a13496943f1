//! What would change, as a unified diff.

use diffy::DiffOptions;

/// From `old` to `new`. Bytes that are no UTF-8 are shown as the replacement character.
pub fn unified(old: &[u8], new: &[u8], name: &str) -> String {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let mut options = DiffOptions::new();
    options.set_original_filename(format!("{name} (in Consul)")).set_modified_filename(format!("{name} (to upload)"));
    options.create_patch(&old, &new).to_string()
}
