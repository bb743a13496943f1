//! Values as kvexpress writes them, made by other programs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Twelve lines of a hosts file.
pub const DOCUMENT: &str = "10.0.0.1 node-1.example node-1\n10.0.0.2 node-2.example node-2\n10.0.0.3 node-3.example node-3\n\
    10.0.0.4 node-4.example node-4\n10.0.0.5 node-5.example node-5\n10.0.0.6 node-6.example node-6\n\
    10.0.0.7 node-7.example node-7\n10.0.0.8 node-8.example node-8\n10.0.0.9 node-9.example node-9\n\
    10.0.0.10 node-10.example node-10\n10.0.0.11 node-11.example node-11\n10.0.0.12 node-12.example node-12\n";

/// The document in brotli, as kvexpress 1.16 stores it with Flags 1.
pub fn brotli() -> Vec<u8> {
    decode(
        "G3wBYBwJdizkJwpfmoFNRx6jJtRCjz/L3N6qhQz6dwfy/qV+6gVtWVtb5IkEHrLwXahEF/95eR3+w51leyRCCQkiKUmmpKi0NJ2RYbKybE6O\
         27gf3INbGI0SGsU0",
    )
}

/// The document in gzip and base64, as an older kvexpress stores it with Flags 0.
pub const GZIP_BASE64: &str = "H4sIAAAAAAAAA13QOwqAMBCE4d5TeAFDNu8cRzCdr9Lji0xG2LDVz7fViDXfyXxeW1vEtGc97r31nATs0E6zI3u01+zJAR00B3JER82R\
    nNBJcyJndNacyQVdNBdyRVfNlSy2D2GHYez/weXG6f7tpI8nw3riphceCPykfQEAAA==";

/// 200 MiB of zeros in brotli, in 329 bytes.
pub fn bomb() -> Vec<u8> {
    decode(
        "\
    y///P/gnAOKxQCD3/o///3/wTwDEYRGA7v0f////4J8AiMMCAN37P/7//8E/ARCHBQC693/8//+DfwIgDgsAdO//+P//B/8EQBwWAOje//H//w\
    /+CYA4LADQvf/j//8f/BMAcVgAoHv/x///P/gnAOKwAED3/o///3/wTwDEYQGA7v0f////4J8AiMMCAN37P/7//8E/ARCHBQC693/8//+DfwIg\
    DgsAdO//+P//B/8EQBwWAOje//H//w/+CYA4LADQvf/j//8f/BMAcVgAoHv/x///P/gnAOKwAED3/o///3/wTwDEYQGA7v0f////4J8AiMMCAN\
    37P/7//8E/ARCHBQC693/8//+DfwIgDgsAdO//+P//B/8EQBwWAOje//H//w/+CYA4LADQvf/j//8f/BMAcVgAoHv/l///f/gnAOKwAED3/g8=\
",
    )
}

/// The checksum of the decoded bomb.
pub const BOMB_CHECKSUM: &str = "72abf2ca8f36943ebe2e49ca3a51d409ca5f0bfcffab6c9d25643c17c32889da";

fn decode(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}
