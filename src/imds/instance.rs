//! What the service tells of the machine that it runs on.

use crate::instance::Instance;

/// Takes from a body what it tells.
pub type Reader = fn(&mut Instance, &str);

/// Where each part is told (under `/latest/`), in the order in which it is asked.
pub const INSTANCE_ITEMS: [(&str, Reader); 3] = [
    ("meta-data/instance-id", |instance, body| instance.id = word(body)),
    ("dynamic/instance-identity/document", read_document),
    ("meta-data/instance-life-cycle", |instance, body| instance.life_cycle = word(body)),
];

/// A body that is one short word; anything else (a web page) tells nothing.
fn word(body: &str) -> Option<String> {
    let word = body.trim();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let fits = !word.is_empty() && word.len() <= 64 && word.bytes().all(is_part);
    fits.then(|| word.to_owned())
}

/// The instance identity document, as far as it is needed. What is no word in it goes no further: hooks find it in
/// their environment.
fn read_document(instance: &mut Instance, body: &str) {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        instance_type: Option<String>,
        availability_zone: Option<String>,
        region: Option<String>,
    }
    match serde_json::from_str::<Document>(body) {
        Ok(document) => {
            let told = |text: Option<String>| text.as_deref().and_then(word);
            instance.kind = told(document.instance_type);
            instance.availability_zone = told(document.availability_zone);
            instance.region = told(document.region);
        }
        // Its message quotes what stands there, however long that is.
        Err(error) => log::warn!("the instance identity document cannot be read (line {})", error.line()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_in_the_place_of_a_word_tells_nothing() {
        assert_eq!(word("i-0abc\n"), Some("i-0abc".into()));
        assert_eq!(word("<html>\n"), None);
        assert_eq!(word(""), None);
        assert_eq!(word(&"a".repeat(64)), Some("a".repeat(64)));
        assert_eq!(word(&"a".repeat(65)), None);
    }

    #[test]
    fn a_document_tells_words_and_nothing_else() {
        let mut instance = Instance::default();
        read_document(&mut instance, r#"{"instanceType": "u-6tb1.56xlarge", "region": "eu\nwest", "pendingTime": 1}"#);
        let expected = Instance { kind: Some("u-6tb1.56xlarge".into()), ..Instance::default() };
        assert_eq!(instance, expected);
        read_document(&mut instance, "<html>");
        assert_eq!(instance, expected);
    }
}
