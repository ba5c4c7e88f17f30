//! The figures, for people.

use comfy_table::{CellAlignment, Table, presets};

use super::figures::{CaughtUp, Figures, Idle, Load, Quantiles};

pub(super) fn print(figures: &Figures) {
    println!("ScyllaDB {}, {} groups\n", figures.server, figures.groups);
    if let Some(idle) = &figures.idle {
        print_idle(idle);
    }
    print_load(&figures.load);
    if let Some(caught_up) = &figures.catching_up {
        print_caught_up("catching up by the log", caught_up);
    }
    if let Some(replayed) = &figures.replaying {
        print_caught_up("catching up by event_store", replayed);
    }
}

fn print_idle(idle: &Idle) {
    println!(
        "idle for {:.0} s: {} of a core, {} resident; the node: {} of a core",
        idle.seconds,
        percent(idle.cores),
        megabytes(idle.resident_mb),
        percent(idle.node_cores)
    );
}

fn print_load(load: &Load) {
    println!(
        "load: {} events appended, {:.0} a second (of {}); {} of a core, {} resident; the node: {} \
         of a core",
        load.appended,
        load.appended_per_second,
        load.rate,
        percent(load.cores),
        megabytes(load.resident_mb),
        percent(load.node_cores)
    );
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header([
        "",
        "events",
        "lost",
        "late",
        "repaired",
        "hints lost",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ]);
    table.add_row(row("append", [load.appended.to_string()].to_vec(), &load.append));
    for (number, group) in load.by_group.iter().enumerate() {
        let counts = [group.handled, group.lost, group.late, group.repaired, group.hints_lost];
        let counts = counts.iter().map(u64::to_string).collect();
        table.add_row(row(&format!("group {}", number + 1), counts, &group.latency));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!("ms; of a group: from the acknowledged append to the call of its handler");
}

fn row(name: &str, mut counts: Vec<String>, quantiles: &Quantiles) -> Vec<String> {
    counts.resize(5, String::new());
    let Quantiles { p50, p90, p99, p999, max } = quantiles;
    let times = [p50, p90, p99, p999, max].map(|ms| format!("{ms:.1}"));
    [name.to_owned()].into_iter().chain(counts).chain(times).collect()
}

fn print_caught_up(what: &str, caught_up: &CaughtUp) {
    println!(
        "{what}: {} events in {:.2} s, {:.0} a second; {} missing, {} repaired",
        caught_up.events,
        caught_up.seconds,
        caught_up.events_per_second,
        caught_up.missing,
        caught_up.repaired
    );
}

fn percent(cores: Option<f64>) -> String {
    cores.map_or_else(|| "?".to_owned(), |cores| format!("{:.1} %", cores * 100.0))
}

fn megabytes(megabytes: Option<f64>) -> String {
    megabytes.map_or_else(|| "?".to_owned(), |megabytes| format!("{megabytes:.0} MB"))
}
