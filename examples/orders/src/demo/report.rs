//! What the demonstration prints at the end.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use messina::consumer::GroupStatus;

use crate::demo::read_models::Sample;
use crate::demo::topic::Read;
use crate::demo::tracker::Reached;
use crate::demo::workload::Handled;

/// Texts longer than this are cut in tables.
const LONGEST: usize = 60;

pub(super) fn commands(handled: &Handled) {
    let seconds = handled.elapsed.as_secs_f64().max(0.001);
    let per_second = |n: u64| format!("{:.0}", n as f64 / seconds);
    heading("Commands");
    let mut table = table(&["", "count", "per second"]);
    let orders = handled.orders.len() as u64;
    table.add_row(vec!["orders".to_owned(), thousands(orders), per_second(orders)]);
    table.add_row(vec![
        "commands".into(),
        thousands(handled.commands),
        per_second(handled.commands),
    ]);
    table.add_row(vec![
        "events appended".into(),
        thousands(handled.events),
        per_second(handled.events),
    ]);
    println!("{table}");
    let latency = &handled.latency;
    println!(
        "latency of a command: p50 {}, p90 {}, p99 {}, max {}",
        quantile(latency, 0.5),
        quantile(latency, 0.9),
        quantile(latency, 0.99),
        milliseconds(latency.max())
    );
    if !handled.rejected.is_empty() {
        println!("{} commands refused by the domain:", handled.rejected.len());
        for (order, reason) in handled.rejected.iter().take(5) {
            println!("  order {order}: {reason}");
        }
    }
}

pub(super) fn groups(statuses: &[(GroupStatus, Reached)], total: usize) {
    heading("Consumer groups");
    let header =
        ["group", "events", "missing", "again", "repaired", "retries", "lag", "p50", "p99", "max"];
    let mut table = table(&header);
    for (status, reached) in statuses {
        table.add_row(vec![
            status.name.clone(),
            thousands(reached.events as u64),
            thousands((total - reached.events) as u64),
            thousands(status.handled.saturating_sub(reached.events as u64)),
            thousands(status.repaired),
            thousands(status.retries),
            status.lag.map_or_else(|| "-".to_owned(), duration),
            quantile(&reached.latency, 0.5),
            quantile(&reached.latency, 0.99),
            milliseconds(reached.latency.max()),
        ]);
    }
    println!("{table}");
    println!(
        "p50, p99, max: from the acknowledged append to the handled event. The lag is that of \
         the checkpoint,\nwhich follows by the sweep, a safety interval behind"
    );
}

pub(super) fn read_models(samples: &[Sample], agreeing: usize, orders: usize) {
    heading("Read models");
    for sample in samples {
        println!("{}", sample.title);
        let columns: Vec<&str> = sample.columns.iter().map(String::as_str).collect();
        let mut table = table(&columns);
        for row in &sample.rows {
            table.add_row(row.iter().map(|text| cut(text)).collect::<Vec<_>>());
        }
        println!("{table}\n");
    }
    println!("order_read_model agrees with the last reply of {agreeing} of {orders} orders");
}

pub(super) fn topic(name: &str, read: &Read) {
    heading("Kafka");
    println!("topic {name}, read along by a consumer:");
    let mut table = table(&["partition/offset", "key", "seq", "event_type", "value"]);
    for record in &read.first {
        table.add_row(vec![
            record.place.clone(),
            record.key.clone(),
            record.sequence_number.to_string(),
            record.event_type.clone(),
            cut(&record.payload),
        ]);
    }
    println!("{table}");
    println!(
        "{} records, {} events, {} keys, {} repeated; each key's events in order: {}",
        thousands(read.records as u64),
        thousands(read.events.len() as u64),
        thousands(read.keys.len() as u64),
        read.repeated,
        if read.out_of_order.is_empty() { "yes" } else { "NO" }
    );
    for line in read.out_of_order.iter().take(5) {
        println!("  out of order: {line}");
    }
}

fn heading(text: &str) {
    println!("\n{text}\n{}", "─".repeat(text.chars().count()));
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn quantile(histogram: &Histogram<u64>, quantile: f64) -> String {
    milliseconds(histogram.value_at_quantile(quantile))
}

fn milliseconds(micros: u64) -> String {
    duration(Duration::from_micros(micros))
}

fn duration(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1 234 567");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(100)).chars().count(), LONGEST);
    }
}
