//! When a machine polls: at a phase of its own within the period, the same after every restart, so that a
//! fleet spreads over the period; and a fresh jitter on each poll, so that machines that happen to share a
//! phase do not stay together.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// A period below this counts as this: a period of zero must not become a busy loop.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// The machine's phase in `0 ≤ phase < period`: the first 64 bits (big endian) of
/// SHA-256(`machine_id` NUL `salt`), scaled to the period. A written hash, since the standard library's may
/// change between releases and would move the whole fleet.
#[must_use]
pub fn offset(machine_id: &str, salt: &str, period: Duration) -> Duration {
    let digest = Sha256::new()
        .chain_update(machine_id.as_bytes())
        .chain_update([0])
        .chain_update(salt.as_bytes())
        .finalize();
    let hash = digest
        .iter()
        .take(8)
        .fold(0_u64, |hash, byte| (hash << 8) | u64::from(*byte));
    Duration::from_nanos(scale(hash, nanoseconds(period)))
}

/// The first `k × period + offset` (since the Unix epoch) that lies after `now`, plus `jitter` scaled to at
/// most a tenth of the period. `jitter` is 64 random bits of the caller's.
#[must_use]
pub fn next_poll(now: Timestamp, period: Duration, offset: Duration, jitter: u64) -> Timestamp {
    let period = nanoseconds(period.max(SHORTEST_PERIOD));
    let step = i128::from(period);
    let phase = i128::from(nanoseconds(offset)).rem_euclid(step);
    let passed = (now.as_nanosecond() - phase).div_euclid(step);
    let due = (passed + 1) * step + phase + i128::from(scale(jitter, period / 10));
    Timestamp::from_nanosecond(due).unwrap_or(Timestamp::MAX)
}

/// A duration in nanoseconds; what exceeds 584 years counts as 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `range × bits / 2⁶⁴`: uniform bits to a uniform value below `range`.
fn scale(bits: u64, range: u64) -> u64 {
    let product = (u128::from(bits) * u128::from(range)) >> 64;
    u64::try_from(product).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Computed apart from this code: `printf 'ID\0SALT' | sha256sum`, first 16 digits × 60e9 >> 64.
    #[test]
    fn golden_offsets() {
        let cases: &[(&str, &str, u64)] = &[
            ("cinnabar", "poll", 20_477_481_547),
            ("basalt", "poll", 21_391_518_250),
            ("cinnabar", "rollout-7", 32_813_955_631),
            ("", "", 25_828_898_954),
            ("ab", "c", 25_315_412_475),
            ("a", "bc", 15_171_505_774),
        ];
        for (machine, salt, expected) in cases {
            assert_eq!(
                offset(machine, salt, MINUTE).as_nanos(),
                u128::from(*expected),
                "{machine} {salt}"
            );
        }
    }

    #[test]
    fn next_poll_is_the_next_multiple_plus_offset() {
        let cases = [
            ("1970-01-01T00:00:00Z", 60, 0, "1970-01-01T00:01:00Z"),
            ("1970-01-01T00:00:59.999Z", 60, 0, "1970-01-01T00:01:00Z"),
            ("2026-03-01T12:00:10Z", 60, 10, "2026-03-01T12:01:10Z"),
            ("2026-03-01T12:00:09Z", 60, 10, "2026-03-01T12:00:10Z"),
            // An offset beyond the period is taken modulo the period.
            ("2026-03-01T12:00:09Z", 60, 70, "2026-03-01T12:00:10Z"),
            ("1969-12-31T23:59:30Z", 60, 15, "1970-01-01T00:00:15Z"),
        ];
        for (now, period, offset, expected) in cases {
            let next = next_poll(
                now.parse().unwrap(),
                Duration::from_secs(period),
                Duration::from_secs(offset),
                0,
            );
            assert_eq!(next, expected.parse().unwrap(), "{now}");
        }
    }

    #[test]
    fn the_jitter_is_a_tenth_at_most() {
        let now = Timestamp::UNIX_EPOCH;
        let latest = next_poll(now, MINUTE, Duration::ZERO, u64::MAX);
        let due = Timestamp::from_second(60).unwrap();
        let jitter = latest.duration_since(due);
        assert!(
            jitter < jiff::SignedDuration::from_secs(6) && jitter > jiff::SignedDuration::from_millis(5_999)
        );
    }

    #[test]
    fn the_ends_of_time_and_zero_do_no_harm() {
        assert_eq!(
            next_poll(Timestamp::MAX, MINUTE, Duration::ZERO, 0),
            Timestamp::MAX
        );
        assert!(next_poll(Timestamp::MIN, MINUTE, Duration::ZERO, 0) > Timestamp::MIN);
        assert!(next_poll(Timestamp::UNIX_EPOCH, Duration::ZERO, Duration::ZERO, 0) > Timestamp::UNIX_EPOCH);
        assert_eq!(offset("m", "s", Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_fleet_spreads_evenly() {
        let mut buckets = [0_u32; 6];
        for machine in 0..600 {
            let seconds = offset(&format!("machine-{machine}"), "poll", MINUTE).as_secs();
            buckets[usize::try_from(seconds / 10).unwrap()] += 1;
        }
        assert!(
            buckets.iter().all(|count| (70..=130).contains(count)),
            "{buckets:?}"
        );
    }

    proptest! {
        #[test]
        fn the_offset_lies_in_the_period(id in ".*", salt in ".*", seconds in 1_u64..10_000_000) {
            let period = Duration::from_secs(seconds);
            prop_assert!(offset(&id, &salt, period) < period);
        }

        #[test]
        fn the_next_poll_lies_within_one_period_and_its_jitter(
            now in 0_i64..4_000_000_000, period in 1_u64..1_000_000, at in any::<u64>(), jitter in any::<u64>()
        ) {
            let now = Timestamp::from_second(now).unwrap();
            let next = next_poll(now, Duration::from_secs(period), Duration::from_secs(at % period), jitter);
            let wait = next.duration_since(now).unsigned_abs();
            prop_assert!(next > now);
            prop_assert!(wait < Duration::from_secs(period) + Duration::from_secs(period) / 10 + Duration::from_nanos(1));
        }
    }
}
