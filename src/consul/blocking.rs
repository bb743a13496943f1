//! Blocking queries: Consul answers when the key changes, or after the requested time.

use std::time::Duration;

use super::client::{Body, Call, Client};
use super::failure::Result;
use super::kv::{Consistency, path};
use crate::util::time::{Backoff, Deadline};

/// The longest wait of a single query. Consul adds up to a sixteenth, and the sum must stay below the client's timeout
/// for one attempt.
const MAX_WAIT: Duration = Duration::from_secs(15);

impl Client<'_> {
    /// Waits until the key exists; false if it does not exist at the deadline.
    ///
    /// # Errors
    /// 77 if Consul denies the read; 65, 69 and 78 as for every request.
    pub fn await_key(&self, key: &str, deadline: Deadline, consistency: Consistency) -> Result<bool> {
        // Consul answers a query with index 0 at once. The index of a missing key may grow when other keys change, so
        // there is a pause between queries. The pause is longer if a proxy has removed the index from the answer.
        let mut index = 0;
        let mut pause = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        let mut long_pause = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut has_logged = false;
        loop {
            let wait = deadline.left().min(MAX_WAIT).as_millis().max(1); // 0 would mean Consul's default of 5 minutes.
            let parameter = consistency.append_to(&format!("raw&index={index}&wait={wait}ms"));
            let answer = self.call(&Call { path: &path(key), parameter: &parameter, body: Body::None })?;
            if answer.status == 200 {
                return Ok(true);
            }
            if !std::mem::replace(&mut has_logged, true) {
                self.context().progress(|| {
                    format!("{key} is not in Consul yet; waiting {}", humantime::format_duration(deadline.limit()))
                });
            }
            let pause = if answer.index == 0 { &mut long_pause } else { &mut pause };
            // The index decreases when a snapshot is restored. Consul's documentation of blocking queries says to start
            // again from 0 then.
            index = if answer.index < index { 0 } else { answer.index };
            if !pause.sleep(deadline, &self.context().random) {
                return Ok(false);
            }
        }
    }
}
