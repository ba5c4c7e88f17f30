//! What a process uses, as Linux tells it in `/proc`.

use std::time::{Duration, Instant};

/// `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process being watched.
pub(super) struct Watched {
    process: String,
    began: Instant,
    cpu: Option<Duration>,
}

impl Watched {
    /// This process, or another one.
    pub(super) fn begin(process: Option<u32>) -> Self {
        let process = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
        let cpu = cpu(&process);
        Self { process, began: Instant::now(), cpu }
    }

    /// How many cores it has used since, on average; `None` where there is no `/proc`.
    pub(super) fn cores(&self) -> Option<f64> {
        let used = cpu(&self.process)?.checked_sub(self.cpu?)?;
        Some(used.as_secs_f64() / self.began.elapsed().as_secs_f64())
    }

    /// Its memory at present, resident, in MB.
    pub(super) fn resident_mb(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    }
}

fn cpu(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; utime and stime are the 14th and 15th field.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let watched = Watched::begin(None);
        // However little of the machine it gets, it is told when it has used some of it.
        while watched.cores().unwrap() == 0.0 {
            assert!(watched.began.elapsed() < Duration::from_secs(60));
        }
        let used = watched.cores().unwrap() * watched.began.elapsed().as_secs_f64();
        assert!(used > 0.005, "{used} s");
        assert!(watched.resident_mb().unwrap() > 1.0);
    }
}
