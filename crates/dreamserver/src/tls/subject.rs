//! The subject of a certificate as text that cannot be read in two ways (RFC 4514), and that a field can hold.

use std::fmt::Write;
use x509_parser::asn1_rs::{Any, ToDer};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::parse_x509_certificate;
use x509_parser::x509::AttributeTypeAndValue;

/// The subject of this certificate, the most specific part first: `CN=alice,O=Example`. Nothing if it cannot be read.
pub(super) fn of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let mut text = String::new();
    let parts: Vec<_> = certificate.subject().iter_rdn().collect();
    for part in parts.into_iter().rev() {
        for (number, attribute) in part.iter().enumerate() {
            text.push_str(match (text.is_empty(), number) {
                (true, _) => "",
                (false, 0) => ",",
                (false, _) => "+",
            });
            write_attribute(attribute, &mut text)?;
        }
    }
    Some(text)
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, out: &mut String) -> Option<()> {
    let name = oid2abbrev(attribute.attr_type(), oid_registry()).ok();
    match name {
        Some(name) => out.push_str(name),
        None => out.push_str(&attribute.attr_type().to_id_string()),
    }
    out.push('=');
    match (name, attribute.as_str()) {
        (Some(_), Ok(text)) => write_value(text, out),
        _ => write_encoded(attribute.attr_value(), out)?,
    }
    Some(())
}

/// What has no short name, or is no text, is written as it is in the certificate (RFC 4514 §2.4).
fn write_encoded(value: &Any<'_>, out: &mut String) -> Option<()> {
    out.push('#');
    for byte in value.to_der_vec().ok()? {
        // Memory takes what is written to it.
        let _ = write!(out, "{byte:02X}");
    }
    Some(())
}

/// What means something between values, and what no field may hold, is escaped (RFC 4514 §2.4).
fn write_value(value: &str, out: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let special = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' | b'=' => true,
            b'#' => at == 0,
            b' ' => at == 0 || at == last,
            _ => false,
        };
        // Memory takes what is written to it.
        let _ = match byte {
            b' '..=b'~' if special => write!(out, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(out, "{}", char::from(byte)),
            _ => write!(out, "\\{byte:02X}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn subject(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        of(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn the_most_specific_part_comes_first() {
        let parts = [
            (DnType::OrganizationName, "Example"),
            (DnType::CommonName, "alice"),
        ];
        assert_eq!(subject(&parts), "CN=alice,O=Example");
        assert_eq!(subject(&[]), "");
    }

    #[test]
    fn what_has_no_short_name_is_written_as_it_is() {
        let department = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 32473, 1]);
        let parts = [(DnType::CommonName, "alice"), (department, "a,b")];
        assert_eq!(subject(&parts), "1.3.6.1.4.1.32473.1=#0C03612C62,CN=alice");
        let blob = rcgen::DnValue::BmpString("ab".try_into().unwrap());
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, blob);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(of(signed.der()).unwrap(), "CN=#1E0400610062");
    }

    #[test]
    fn a_value_cannot_pass_for_several() {
        for (value, written) in [
            ("a,O=root", r"CN=a\,O\=root"),
            ("a\r\nX-Real-IP: ::1", r"CN=a\0D\0AX-Real-IP: ::1"),
            (" #é ", r"CN=\ #\C3\A9\ "),
            ("#1", r"CN=\#1"),
        ] {
            assert_eq!(subject(&[(DnType::CommonName, value)]), written);
        }
    }
}
