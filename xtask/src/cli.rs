//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::simulate::SimulateArgs;
use crate::stack::{Server, TestSignal};
use crate::torture::TortureArgs;

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", after_help = HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const HELP: &str = "\
Examples:
  cargo xtask stack up      Kafka and Cassandra, in half a minute, fetched the first time
  cargo xtask up            every service on them; Ctrl-C stops the services
  cargo xtask stack test    everything that needs the real servers
  cargo xtask stack down    stop the servers; what they hold stays
  cargo xtask simulate      the whole system from seeds, no server needed
  cargo xtask torture       everything is killed, frozen, cut off; nothing may get lost

Exit codes:
  0 done   1 something was found wrong   64 wrong usage   69 a tool or a server is not there
  74 a file or the output could not be written   130 stopped by Ctrl-C

docs/stack.md says more.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the style rules over every file that git knows or would add
    Tidy,
    /// Run the whole system in simulation, from seeds, with faults in every port
    #[command(after_help = SIMULATE_HELP)]
    Simulate(SimulateArgs),
    /// Hurt every service and server for minutes, under load, and judge what became of the messages
    #[command(after_help = TORTURE_HELP)]
    Torture(TortureArgs),
    /// Run real Kafka and Cassandra on this machine, for development and tests
    #[command(subcommand, after_help = STACK_HELP)]
    Stack(StackCommand),
    /// Run every service as a process of its own, on the servers of the stack
    #[command(after_help = UP_HELP)]
    Up(UpArgs),
    /// Stop the services; the servers of the stack go on
    Down,
    /// Start a Prometheus on the services that run, and check panels and an alert
    #[command(after_help = MONITOR_HELP)]
    MonitorCheck(MonitorArgs),
}

const SIMULATE_HELP: &str = "\
Needs no server. A seed that fails prints what happened to its conversation and the command that
shows it again; docs/simulation.md says how it works. On a terminal the end is a table, elsewhere
JSON. Exit code 1: a seed failed, a mistake was not found, or a fault never occurred.

Examples:
  cargo xtask simulate --minutes 10             as many seeds as ten minutes hold
  cargo xtask simulate --seed 4711              one seed, as a failure printed it
  cargo xtask simulate --seeds 500 --faults log only what goes wrong with the log
  cargo xtask simulate --mutants                does it find deliberate mistakes?";

const TORTURE_HELP: &str = "\
Needs Java 17 or newer and Maven, as the stack does, and about 4 GB of memory. It starts a Kafka, a
Cassandra, the simulator and every service on ports of its own, so it can run beside `cargo xtask up`.
Clients send all the time while services are killed, frozen, restarted and scaled, servers killed and
frozen, platforms fail, and wires are slow, stuck and cut. The seed and the minutes decide what happens
when; real time does not repeat, so a second run with a seed is alike, not the same.

On a terminal one line says how it goes. At the end comes a table (--json: a document) with what
became of every message, and the time that everything took to go on. Everything that is needed to look
into a finding stays in a folder of target/torture; docs/torture.md says how.

Exit codes: 0 every invariant held   1 one did not   69 servers or services do not start
            130 stopped by Ctrl-C, which ends all of it

Examples:
  cargo xtask torture                              five minutes, any seed
  cargo xtask torture --minutes 30 --release       what must hold before a release
  cargo xtask torture --minutes 5 --seed 4711      the schedule of a run before
  cargo xtask torture --minutes 1 --json | jq .held";

const STACK_HELP: &str = "\
Needs Java 17 or newer and Maven. Everything is in the folder .stack of this repository, the servers
listen on 127.0.0.1 only:
  Kafka 4.1      19092, with TLS and SASL 19094
  Cassandra 5.0  19042

Environment:
  CHAT4ALL_STACK_KAFKA=127.0.0.1:29092      where Kafka listens; it also takes the next two ports
  CHAT4ALL_STACK_CASSANDRA=127.0.0.1:29042  where Cassandra listens; it also takes two lower ports
  CHAT4ALL_STACK_FOLDER=/tmp/second         where all but the jars is: a second stack needs its own

Examples:
  cargo xtask stack up kafka                one server
  cargo xtask stack logs cassandra -f       what it writes
  cargo xtask stack kill kafka              as if it crashed; `stack start kafka` recovers it
  cargo xtask stack down --wipe             stop, and begin anew the next time";

const UP_HELP: &str = "\
The services read deploy/local.toml: every platform is simulated. Their lines come with the name of
who wrote them. Ctrl-C stops router, connectors, status-consumer, api and simulator, in this order,
each when the one before has drained; a second Ctrl-C kills what is left.

Examples:
  cargo xtask up                            build, run, and show what all of them write
  cargo xtask up --detach                   in the background, once all are ready
  cargo xtask up --no-build --release       what was built before, with --release
  cargo xtask down                          stop what runs in the background";

const MONITOR_HELP: &str = "\
Needs prometheus (Debian: apt-get install prometheus), and services whose platforms are simulated.
It sends messages, asks for every panel of grafana/dashboards, takes a platform away in the
simulator, waits until its alert fires and resolves, and until every message has its outcome. All
faults of the simulator are cleared.

Examples:
  cargo xtask stack up && cargo xtask up --detach
  cargo xtask monitor-check";

#[derive(Args, Debug)]
pub struct MonitorArgs {
    /// Whom Prometheus asks
    #[arg(long, value_name = "FILE", default_value = "prometheus/local.yml")]
    pub prometheus_config: PathBuf,
    /// Where the API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub api: SocketAddr,
    /// Where the simulator listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub simulator: SocketAddr,
    /// The platform that is taken away [default: the first]
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
}

#[derive(Args, Debug)]
pub struct UpArgs {
    /// Go on in the background once every service is ready
    #[arg(long, short)]
    pub detach: bool,
    /// Run what was built before
    #[arg(long)]
    pub no_build: bool,
    /// Build and run with optimizations
    #[arg(long)]
    pub release: bool,
    /// The configuration of every service [default: deploy/local.toml]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Start the servers and wait until they answer
    Up {
        #[command(flatten)]
        servers: Selected,
    },
    /// Stop the servers; what they hold stays
    Down {
        #[command(flatten)]
        servers: Selected,
        /// Also delete what they hold
        #[arg(long)]
        wipe: bool,
    },
    /// Show what each server does: a table on a terminal, JSON otherwise
    Status {
        /// JSON also on a terminal
        #[arg(long)]
        json: bool,
    },
    /// Show what the servers wrote
    Logs {
        #[command(flatten)]
        servers: Selected,
        /// How many of the last lines
        #[arg(long, short = 'n', default_value_t = 50, value_name = "COUNT")]
        lines: usize,
        /// Go on with what they write, until Ctrl-C
        #[arg(long, short)]
        follow: bool,
    },
    /// Run everything that needs the real servers, and leave them as they were
    #[command(after_help = TEST_HELP)]
    Test(TestArgs),
    /// Start one server, on what it held before
    Start {
        /// Which one
        server: Server,
    },
    /// Send a signal to one server, as a test of a crash does
    Kill {
        /// Which one
        server: Server,
        /// Which signal
        #[arg(long, value_enum, ignore_case = true, default_value = "KILL")]
        signal: TestSignal,
    },
}

const TEST_HELP: &str = "\
Starts the servers that do not run (one that does not start is a failure), builds the services, and
runs the tests that require the feature `stack`, of every package that has it.

Examples:
  cargo xtask stack test
  cargo xtask stack test --only chat4all-store
  cargo xtask stack test --only chat4all-store -- -- --nocapture    more for `cargo test`";

/// What is tested.
#[derive(Args, Debug)]
pub struct TestArgs {
    /// Only this package; can be repeated
    #[arg(long, value_name = "PACKAGE")]
    pub only: Vec<String>,
    /// More arguments for each `cargo test`
    #[arg(last = true, value_name = "ARGUMENT")]
    pub cargo_arguments: Vec<String>,
}

/// Which servers.
#[derive(Args, Debug)]
pub struct Selected {
    /// Which servers [default: all]
    #[arg(value_name = "SERVER")]
    pub servers: Vec<Server>,
}
