//! Variables without our prefix that stand for a key: `KAFKA_TOPIC` and the like, which images and
//! charts of other people set. Weaker than our own variable for the same key, stronger than a file.

// Never iterated here: the environment comes as the standard library's map.
use std::collections::HashMap;

use super::ENV_PREFIX;

/// A variable and the key that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainVariable {
    /// The variable: `KAFKA_TOPIC`.
    pub name: &'static str,
    /// The key, dotted: `connectors.x.topic`.
    pub key: String,
}

impl PlainVariable {
    /// The variable `name` for `key`.
    pub fn new(name: &'static str, key: &str) -> Self {
        Self { name, key: key.to_owned() }
    }

    /// Our own variable for the same key.
    pub fn specific(&self) -> String {
        format!("{ENV_PREFIX}__{}", self.key.replace('.', "__").to_uppercase())
    }
}

/// Lets each variable count as our own one for its key, unless that is there. Returns remarks about
/// variables that lost.
pub fn adopt(
    environment: &mut HashMap<String, String>,
    variables: &[PlainVariable],
) -> Vec<String> {
    let mut remarks = Vec::new();
    for variable in variables {
        let Some(value) = environment.get(variable.name).cloned() else { continue };
        let specific = variable.specific();
        match environment.get(&specific) {
            None => drop(environment.insert(specific, value)),
            Some(stronger) if *stronger == value => {}
            Some(_) => remarks.push(format!(
                "{} is ignored, because {specific} says something else",
                variable.name
            )),
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adopted(variables: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
        let mut environment: HashMap<String, String> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let plain = [PlainVariable::new("KAFKA_TOPIC", "connectors.a.topic")];
        let remarks = adopt(&mut environment, &plain);
        (environment.remove("CHAT4ALL__CONNECTORS__A__TOPIC"), remarks)
    }

    #[test]
    fn a_plain_variable_stands_for_its_key_unless_ours_is_there() {
        let ours = ("CHAT4ALL__CONNECTORS__A__TOPIC", "ours");
        assert_eq!(adopted(&[]), (None, vec![]));
        assert_eq!(adopted(&[("KAFKA_TOPIC", "t")]), (Some("t".to_owned()), vec![]));
        assert_eq!(adopted(&[("KAFKA_TOPIC", "ours"), ours]).1, Vec::<String>::new());
        let (value, remarks) = adopted(&[("KAFKA_TOPIC", "t"), ours]);
        assert_eq!(value.as_deref(), Some("ours"));
        assert!(remarks[0].starts_with("KAFKA_TOPIC is ignored"), "{remarks:?}");
    }
}
