//! Owns Shamir's way of splitting a data key into shares (shamir/shamir.go, as HashiCorp Vault has it). It must
//! never look at what the shares are of.

use aes_gcm::aead::rand_core;
use zeroize::Zeroizing;

/// A share: as many bytes as the secret has, each a value of its own polynomial, and last the point at which all
/// of them were taken.
pub(super) type Share = Zeroizing<Vec<u8>>;

/// Product in the field of 256 elements that AES uses too, without a branch on either factor.
fn times(left: u8, right: u8) -> u8 {
    let (mut left, mut product) = (left, 0_u8);
    for bit in 0..8_u32 {
        let taken = 0_u8.wrapping_sub((right >> bit) & 1);
        product ^= left & taken;
        let carried = 0_u8.wrapping_sub(left >> 7);
        left = (left << 1) ^ (carried & 0x1b);
    }
    product
}

/// The inverse, `x` to the power of 254; of 0 it is 0.
fn inverse(element: u8) -> u8 {
    let mut power = element;
    let mut product = 1;
    for _ in 0..7 {
        power = times(power, power);
        product = times(product, power);
    }
    product
}

/// The secret of these shares; `None` where they are not all of one length, or two are of the same point.
///
/// Whether there are enough of them the shares do not tell: of too few, another secret comes out.
pub(super) fn combine(shares: &[Share]) -> Option<Zeroizing<Vec<u8>>> {
    let split: Vec<(&u8, &[u8])> = shares
        .iter()
        .map(|share| share.split_last())
        .collect::<Option<_>>()?;
    let (_, first) = split.first()?;
    let length = first.len();
    let mut secret = Zeroizing::new(vec![0; length]);
    for (index, (point, values)) in split.iter().enumerate() {
        if values.len() != length || **point == 0 {
            return None;
        }
        // Lagrange's basis at 0; subtraction is addition here.
        let mut basis = 1;
        for (other, (other_point, _)) in split.iter().enumerate() {
            if other == index {
                continue;
            }
            let distance = *other_point ^ *point;
            if distance == 0 {
                return None;
            }
            basis = times(basis, times(**other_point, inverse(distance)));
        }
        for (byte, value) in secret.iter_mut().zip(*values) {
            *byte ^= times(basis, *value);
        }
    }
    Some(secret)
}

/// `count` shares of a secret, of which any `threshold` give it back and fewer tell nothing.
///
/// `random` fills a buffer with random bytes. Both numbers are between 1 and 255, the threshold the smaller.
pub(super) fn split(
    secret: &[u8],
    count: u8,
    threshold: u8,
    random: impl Fn(&mut [u8]) -> Result<(), rand_core::Error>,
) -> Result<Vec<Share>, rand_core::Error> {
    let degree = usize::from(threshold.saturating_sub(1));
    let mut coefficients = Zeroizing::new(vec![0; secret.len().saturating_mul(degree)]);
    random(&mut coefficients)?;
    let mut shares = Vec::with_capacity(usize::from(count));
    for point in 1..=count {
        let mut share = Zeroizing::new(Vec::with_capacity(secret.len().saturating_add(1)));
        for (index, byte) in secret.iter().enumerate() {
            let start = index.saturating_mul(degree);
            let own = coefficients
                .get(start..start.saturating_add(degree))
                .unwrap_or_default();
            // Horner: the highest coefficient first, the secret itself last.
            let value = own
                .iter()
                .fold(0, |sum, coefficient| times(sum, point) ^ coefficient);
            share.push(times(value, point) ^ byte);
        }
        share.push(point);
        shares.push(share);
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::OsRng;
    use aes_gcm::aead::rand_core::RngCore;
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn the_field_is_the_one_of_aes() {
        // The examples of FIPS 197, 4.2.
        assert_eq!(times(0x57, 0x83), 0xc1);
        assert_eq!(times(0x57, 0x13), 0xfe);
        for element in 1..=255 {
            assert_eq!(times(element, inverse(element)), 1, "{element}");
        }
        assert_eq!(inverse(0), 0);
    }

    #[test]
    fn shares_that_do_not_fit_together_are_refused() {
        let share = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        assert!(combine(&[]).is_none());
        assert!(combine(&[share(&[])]).is_none());
        assert!(combine(&[share(&[1, 2, 1]), share(&[1, 2])]).is_none());
        assert!(combine(&[share(&[1, 2, 1]), share(&[1, 2, 1])]).is_none());
        assert!(combine(&[share(&[1, 2, 0]), share(&[1, 2, 1])]).is_none());
    }

    proptest! {
        #[test]
        fn any_threshold_of_the_shares_gives_the_secret_back(
            secret in any::<[u8; 32]>(), count in 2_u8..12, threshold in 2_u8..12, skip in any::<u8>(),
        ) {
            let threshold = threshold.min(count);
            let mut shares = split(&secret, count, threshold, |buffer| OsRng.try_fill_bytes(buffer)).unwrap();
            assert_eq!(shares.len(), usize::from(count));
            let turn = usize::from(skip) % shares.len();
            shares.rotate_left(turn);
            shares.truncate(usize::from(threshold));
            assert_eq!(combine(&shares).unwrap().as_slice(), secret);
            shares.pop();
            assert_ne!(combine(&shares).map(|found| found.to_vec()).as_deref(), Some(&secret[..]));
        }
    }
}
