//! The floor: the smallest Rust program that could be a watch's handler. kvx-out is measured against it. It reads its
//! payload, sends one request over a plain socket, and replaces the file, with the fsyncs of kvx-out. It checks nothing
//! and records nothing.
//!
//!     floor ADDRESS KEY FILE

use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::path::Path;

use kvx as _; // Linked as kvx-out is: without libgcc_s, see bin/build.rs.

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(key), Some(file)) = (words.next(), words.next(), words.next()) else {
        return Err(Error::other("floor ADDRESS KEY FILE"));
    };
    std::io::stdin().read_to_end(&mut Vec::new())?;
    install(&get(&address, &key)?, &file)
}

fn get(address: &str, key: &str) -> Result<Vec<u8>> {
    let mut server = TcpStream::connect(address)?;
    let path = format!("/v1/kv/kvexpress/{key}/data?raw");
    server.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::with_capacity(64 * 1024);
    server.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let body = end.and_then(|end| end.checked_add(4)).filter(|_| answer.starts_with(b"HTTP/1.1 200"));
    Ok(answer.split_off(body.ok_or_else(|| Error::other("no document"))?))
}

fn install(document: &[u8], file: &str) -> Result<()> {
    let staged = format!("{file}.new");
    let mut writer = File::create(&staged)?;
    writer.write_all(document)?;
    writer.sync_all()?;
    std::fs::rename(&staged, file)?;
    File::open(Path::new(file).parent().unwrap_or(Path::new(".")))?.sync_all()
}
