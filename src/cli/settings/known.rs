//! The settings that there are.

use super::setting::{Kind, Setting};

const fn setting(
    key: &'static str,
    kind: Kind,
    value_name: &'static str,
    default: &'static [&'static str],
    help: &'static str,
) -> Setting {
    Setting { key, flag: None, kind, value_name, default, help, secret: false }
}

const SCYLLA: Setting = setting(
    "scylla",
    Kind::List,
    "HOST:PORT",
    &["127.0.0.1:9042"],
    "Nodes of ScyllaDB to begin with; the others are found through them",
);
const USER: Setting = setting("user", Kind::Text, "NAME", &[], "Role to log in to ScyllaDB with");
const PASSWORD: Setting = Setting {
    secret: true,
    ..setting(
        "password",
        Kind::Text,
        "TEXT",
        &[],
        "That role's password; rather set by environment",
    )
};
const KEYSPACE: Setting =
    setting("keyspace", Kind::Text, "NAME", &[], "Keyspace of events and read models");
const LOG: Setting = setting(
    "log",
    Kind::Text,
    "FILTER",
    &["info"],
    "What is logged on standard error, e.g. warn or info,messina=debug",
);
const LOG_FORMAT: Setting = setting(
    "log_format",
    Kind::Choice(&["auto", "human", "json"]),
    "FORMAT",
    &["auto"],
    "auto: human on a terminal, JSON otherwise",
);

const SAFETY_INTERVAL: Setting = setting(
    "safety_interval",
    Kind::Duration,
    "TIME",
    &["30s"],
    "How far behind now the sweep reads: rows that are later wait for their aggregate's \
     next event",
);

const SWEEP_INTERVAL: Setting = setting(
    "sweep_interval",
    Kind::Duration,
    "TIME",
    &["5s"],
    "Pause between two sweeps, which bring what the polls have missed",
);

/// Of projection-runner.
pub(crate) static RUNNER: &[Setting] = &[
    SCYLLA,
    USER,
    PASSWORD,
    KEYSPACE,
    Setting {
        flag: Some("group"),
        ..setting("groups", Kind::List, "NAME", &[], "Run only these groups; all unless given")
    },
    setting(
        "apply_schema",
        Kind::Switch,
        "BOOL",
        &["false"],
        "Create the keyspace and apply missing migrations before running",
    ),
    setting("kafka", Kind::List, "HOST:PORT", &["127.0.0.1:9092"], "Brokers of Redpanda or Kafka"),
    Setting {
        flag: Some("kafka-option"),
        ..setting(
            "kafka_options",
            Kind::Pairs,
            "NAME=VALUE",
            &[],
            "An option of librdkafka, such as security.protocol=ssl; may be given several times",
        )
    },
    setting(
        "kafka_topic",
        Kind::Text,
        "PATTERN",
        &["{aggregate-type}-events"],
        "Topic of an event; {aggregate-type} and {event-type} stand for these, in kebab case",
    ),
    setting(
        "kafka_envelope",
        Kind::Choice(&[
            "payload",
            "cloudevents",
            "cloudevents-structured",
            "debezium-outbox",
            "debezium-change",
        ]),
        "NAME",
        &["payload"],
        "What an event looks like in the topic",
    ),
    setting(
        "kafka_partitions",
        Kind::Count { least: 1, most: 10_000 },
        "NUMBER",
        &[],
        "Create topics that do not exist, with this many partitions; otherwise the broker \
         creates them, or events without a topic are refused",
    ),
    setting(
        "kafka_transactions",
        Kind::Text,
        "ID",
        &[],
        "Publish in transactions, under this transactional.id",
    ),
    setting(
        "sleep_interval",
        Kind::Duration,
        "TIME",
        &["25ms"],
        "From one poll of the log's end to the next: what an event waits, and streams / 100 \
         queries each",
    ),
    setting("idle_interval", Kind::Duration, "TIME", &["100ms"], "The same while nothing happens"),
    SWEEP_INTERVAL,
    SAFETY_INTERVAL,
    setting(
        "start_from",
        Kind::Text,
        "WHERE",
        &["beginning"],
        "Where a new group begins: beginning, now, or a time: 2026-03-04T05:06:07Z, or 2h for \
         two hours ago",
    ),
    setting(
        "checkpoint_interval",
        Kind::Duration,
        "TIME",
        &["1s"],
        "How often progress is stored: what a crash makes a group handle again",
    ),
    setting(
        "lanes",
        Kind::Count { least: 1, most: 65_536 },
        "N",
        &["64"],
        "Aggregates that each group handles at once",
    ),
    setting(
        "on_poison",
        Kind::Choice(&["park", "skip", "halt"]),
        "POLICY",
        &["park"],
        "After an event's last attempt: park its aggregate in the dead letters, skip the event \
         there, or halt the group",
    ),
    setting(
        "lease_ttl",
        Kind::Duration,
        "TIME",
        &["6s"],
        "How long a runner's lease lives without being renewed: about when another takes over",
    ),
    setting(
        "drain_timeout",
        Kind::Duration,
        "TIME",
        &["30s"],
        "How long stopping may take; what is unfinished then comes again",
    ),
    LOG,
    LOG_FORMAT,
];

/// Of rebuild-projection; the intervals are those of the group that follows the log for it.
pub(crate) static REBUILD: &[Setting] =
    &[SCYLLA, USER, PASSWORD, KEYSPACE, SWEEP_INTERVAL, SAFETY_INTERVAL, LOG, LOG_FORMAT];
