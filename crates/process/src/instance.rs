//! What tells this process apart from the others of its kind, for people.

/// The machine's name (a container's or pod's, in one) and the number of the process.
pub fn name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|machine| machine.trim().to_owned())
        .filter(|machine| !machine.is_empty());
    format!("{}/{}", machine.as_deref().unwrap_or("unnamed"), std::process::id())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_names_its_machine_and_its_number() {
        let name = super::name();
        let (machine, number) = name.split_once('/').unwrap();
        assert!(!machine.is_empty() && number.parse::<u32>().is_ok(), "{name}");
    }
}
