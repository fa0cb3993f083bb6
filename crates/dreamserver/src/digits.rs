//! Numbers and addresses as text. The formatting machinery of the standard library would be the largest cost of a
//! log line, and of the fields that tell an endpoint who the client is.

use std::io::Write;
use std::net::IpAddr;

/// Adds `value` with at least `width` digits.
pub fn decimal(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

/// Adds `address` as it is usually written (RFC 5952 for IPv6).
pub fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            for (index, part) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(u64::from(part), 1, out);
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_are_as_the_standard_library_writes_them(value: u64, width in 1usize..=20, ip: IpAddr) {
            prop_assert_eq!(text(|out| decimal(value, width, out)), format!("{value:0width$}"));
            prop_assert_eq!(text(|out| address(ip, out)), ip.to_string());
        }
    }
}
