//! The real executable, with its real files, ports and signals. One file per claim; `harness`
//! starts, watches and ends the processes. What needs chosen times or faults inside a process is
//! in the simulation, not here.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod harness;

mod accounts;
mod command_line;
mod dead_letters;
mod drain;
mod killed_process;
mod killed_simulator;
mod one_message;
mod parallel;
mod refused_start;
mod secrecy;
