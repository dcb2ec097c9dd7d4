//! A service as a process of its own: its configuration, its log, its start and its stop.
