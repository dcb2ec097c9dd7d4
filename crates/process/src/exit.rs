//! Exit codes, from BSD's sysexits.h where it has one.

/// The configuration, the command line or the surroundings (a port, a lock) do not allow a start.
/// `EX_USAGE`: a restart without a change will not help.
pub const CONFIGURATION: u8 = 64;

/// Something that runs failed beyond what a restart inside the process could mend.
/// `EX_SOFTWARE`: the orchestrator should restart the process.
pub const SOFTWARE: u8 = 70;

/// The request was understood and did not succeed (a message FAILED, an id is not known).
pub const UNSUCCESSFUL: u8 = 1;
