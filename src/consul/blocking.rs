//! Blocking queries: Consul answers once the key has changed, or after a while.

use std::time::Duration;

use super::client::{Body, Call, Client};
use super::failure::Result;
use super::kv::{Consistency, path};
use crate::util::time::{Backoff, Deadline};

/// A single query waits no longer: less than a try may take (Consul adds a sixteenth of it).
const ONE_QUERY: Duration = Duration::from_secs(15);

impl Client<'_> {
    /// Waits until the key is there; false where it is not by then.
    ///
    /// # Errors
    /// 77 where it is denied, and as [`Client`] says.
    pub fn await_key(&self, key: &str, patience: Deadline, consistency: Consistency) -> Result<bool> {
        // An index of 0 is answered at once. Of a key that is not there the index may grow for other keys' sake, so it is
        // not asked again without a pause; and a long one where somebody on the way has taken the index out.
        let mut index = 0;
        let mut pause = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        let mut long_pause = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut told = false;
        loop {
            let wait = patience.left().min(ONE_QUERY).as_millis().max(1); // 0 would be the default, minutes.
            let parameter = consistency.also(&format!("raw&index={index}&wait={wait}ms"));
            let answer = self.call(&Call { path: &path(key), parameter: &parameter, body: Body::None })?;
            if answer.status == 200 {
                return Ok(true);
            }
            if !std::mem::replace(&mut told, true) {
                self.context().progress(|| {
                    format!("{key} is not in Consul yet; waiting {}", humantime::format_duration(patience.limit()))
                });
            }
            let pause = if answer.index == 0 { &mut long_pause } else { &mut pause };
            // It goes back when a snapshot is restored: then from the beginning (Consul's documentation of blocking queries).
            index = if answer.index < index { 0 } else { answer.index };
            if !pause.sleep(patience, &self.context().random) {
                return Ok(false);
            }
        }
    }
}
