//! Orders from a CSV file: a line per item, with the order's facts repeated in each.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use csv::StringRecord;

use crate::data::SourceOrder;
use crate::data::amounts::hundredths;
use crate::domain::Item;

/// What a file holds: orders in the order of their first lines, and the lines that make
/// no sense. Those are left out; everything else is there.
#[derive(Debug, Default)]
pub struct OrderFile {
    /// The orders.
    pub orders: Vec<SourceOrder>,
    /// How many lines have become items of orders.
    pub lines: usize,
    /// The lines that have not.
    pub bad_lines: Vec<BadLine>,
}

/// A line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1, the header included.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its first line is not the header that is expected.
    #[error("{path} is not a file of orders: its header lacks {missing}; it needs {}", COLUMNS.join(","))]
    Header {
        /// Which file.
        path: PathBuf,
        /// The columns.
        missing: String,
    },
}

const COLUMNS: [&str; 13] = [
    "order_id",
    "customer_id",
    "order_date",
    "required_date",
    "shipped_date",
    "shipper",
    "freight",
    "ship_country",
    "product_id",
    "product_name",
    "quantity",
    "unit_price",
    "discount",
];

/// The amounts of these files carry no currency.
const CURRENCY: &str = "USD";

impl OrderFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`] when there is nothing to read; single lines are told in the result.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read(path)
            .map_err(|source| FileError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, FileError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let io = |error: csv::Error| FileError::Io { path: path.to_owned(), source: error.into() };
        let columns = Columns::find(reader.headers().map_err(io)?)
            .map_err(|missing| FileError::Header { path: path.to_owned(), missing })?;
        let mut read = Self::default();
        let mut by_id = HashMap::new();
        let mut lines = LineCounter { text, at: 0, line: 1 };
        for record in reader.records() {
            let position = match &record {
                Ok(record) => record.position(),
                Err(error) => error.position(),
            };
            let line = lines.line_at(position.map_or(0, csv::Position::byte));
            let added = match record {
                Ok(record) => columns.parse(&record).and_then(|l| read.add(l, line, &mut by_id)),
                Err(error) => Err(reason(&error)),
            };
            match added {
                Ok(()) => read.lines += 1,
                Err(reason) => read.bad_lines.push(BadLine { line, reason }),
            }
        }
        Ok(read)
    }

    /// Adds a line to its order; its first line makes the order.
    fn add(
        &mut self,
        line: SourceOrder,
        number: u64,
        by_id: &mut HashMap<String, (usize, u64)>,
    ) -> Result<(), String> {
        let Some((at, first_line)) = by_id.get(&line.source_id) else {
            by_id.insert(line.source_id.clone(), (self.orders.len(), number));
            self.orders.push(line);
            return Ok(());
        };
        let order = &mut self.orders[*at];
        let same = SourceOrder { items: order.items.clone(), ..line.clone() };
        if *order != same {
            return Err(format!(
                "order {} has another customer, date or shipment in line {first_line}",
                line.source_id
            ));
        }
        for item in line.items {
            if order.items.iter().any(|other| other.product_id == item.product_id) {
                return Err(format!(
                    "product {} is in order {} already",
                    item.product_id, order.source_id
                ));
            }
            order.items.push(item);
        }
        Ok(())
    }
}

/// Counts lines as an editor does. The reader's own count is one short after `\r\n`, whose
/// second half it takes for the beginning of the next record.
struct LineCounter<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line of the record that begins here. Positions come in ascending order.
    fn line_at(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        let is_break = |b: &u8| matches!(b, b'\r' | b'\n');
        while self.at < byte || self.text.get(self.at).is_some_and(is_break) {
            match self.text.get(self.at) {
                Some(b'\n') => self.line += 1,
                Some(_) => {}
                None => break,
            }
            self.at += 1;
        }
        self.line
    }
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => format!("not UTF-8 in field {}", err.field() + 1),
        _ => error.to_string(),
    }
}

/// Where the file has the columns; they may stand in any order, with others between.
struct Columns([usize; COLUMNS.len()]);

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, String> {
        // Spreadsheets put a byte order mark before the first name.
        let place = |name: &str| {
            header.iter().position(|found| found.trim_start_matches('\u{feff}') == name)
        };
        let places = COLUMNS.map(place);
        let missing: Vec<&str> = COLUMNS
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| *name)
            .collect();
        if missing.is_empty() {
            return Ok(Self(places.map(Option::unwrap_or_default)));
        }
        Err(missing.join(", "))
    }

    /// A line as an order of one item.
    fn parse(&self, record: &StringRecord) -> Result<SourceOrder, String> {
        let [
            order_id,
            customer_id,
            order_date,
            required_date,
            shipped_date,
            shipper,
            freight,
            ship_country,
            product_id,
            product_name,
            quantity,
            unit_price,
            discount,
        ] = self.0.map(|at| record.get(at).unwrap_or_default());
        let item = Item {
            product_id: text("product_id", product_id)?,
            product_name: text("product_name", product_name)?,
            quantity: quantity
                .parse()
                .map_err(|_| format!("quantity: {quantity:?} is not a whole number"))?,
            unit_price_cents: amount("unit_price", unit_price)?,
            discount_percent: percent(discount)?,
        };
        item.check().map_err(|error| error.to_string())?;
        let order = SourceOrder {
            source_id: text("order_id", order_id)?,
            customer_id: text("customer_id", customer_id)?,
            currency: CURRENCY.to_owned(),
            ship_country: text("ship_country", ship_country)?,
            ordered_on: date("order_date", order_date)?,
            required_on: date("required_date", required_date)?,
            shipped_on: match shipped_date {
                "" => None,
                day => Some(date("shipped_date", day)?),
            },
            shipper: text("shipper", shipper)?,
            freight_cents: amount("freight", freight)?,
            items: vec![item],
            changes: Vec::new(),
        };
        if order.freight_cents < 0 {
            return Err(format!("freight: {freight:?} is negative"));
        }
        if order.shipped_on.is_some_and(|shipped| shipped < order.ordered_on) {
            return Err(format!("shipped_date {shipped_date} is before order_date {order_date}"));
        }
        Ok(order)
    }
}

fn text(column: &str, value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err(format!("{column} is empty"));
    }
    Ok(value.to_owned())
}

fn date(column: &str, value: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(value, "%Y-%m-%d")
        .map_err(|_| format!("{column}: {value:?} is not a date like 2016-07-04"))
}

fn amount(column: &str, value: &str) -> Result<i64, String> {
    hundredths(value).ok_or_else(|| format!("{column}: {value:?} is not an amount like 32.38"))
}

fn percent(value: &str) -> Result<u8, String> {
    hundredths(value)
        .and_then(|n| u8::try_from(n).ok())
        .filter(|n| *n <= 100)
        .ok_or_else(|| format!("discount: {value:?} is not a part of one like 0.15"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "order_id,customer_id,order_date,required_date,shipped_date,shipper,\
        freight,ship_country,product_id,product_name,quantity,unit_price,discount\r\n";
    const FIRST: &str = "10248,VINET,2016-07-04,2016-08-01,2016-07-16,Federal Shipping,32.38,\
        France,11,Queso Cabrales,12,14,0.0\r\n";

    fn read(lines: &[&str]) -> OrderFile {
        let text = format!("{HEADER}{}", lines.concat());
        OrderFile::parse(text.as_bytes(), Path::new("orders.csv")).unwrap()
    }

    #[test]
    fn lines_of_an_order_become_its_items() {
        let other = FIRST.replace("10248", "10249");
        let second = FIRST.replace(",11,", ",42,");
        let file = read(&[FIRST, &other, &second]);
        assert_eq!(file.bad_lines, []);
        assert_eq!(file.lines, 3);
        let ids: Vec<_> = file.orders.iter().map(|o| o.source_id.as_str()).collect();
        assert_eq!(ids, ["10248", "10249"]);
        let products: Vec<_> = file.orders[0].items.iter().map(|i| i.product_id.as_str()).collect();
        assert_eq!(products, ["11", "42"]);
        assert_eq!(file.orders[0].items[0].total_cents(), 16_800);
        assert_eq!(file.orders[0].freight_cents, 3238);
    }

    #[test]
    fn a_bad_line_is_told_with_number_and_reason_and_the_rest_goes_on() {
        let broken = |from: &str, to: &str| FIRST.replace(from, to);
        let cases = [
            (broken(",12,14", ",dozen,14"), "quantity: \"dozen\" is not a whole number"),
            (broken(",12,14", ",0,14"), "0 pieces cannot be ordered"),
            (broken(",14,0.0", ",cheap,0.0"), "unit_price: \"cheap\" is not an amount"),
            (broken(",14,0.0", ",14,1.5"), "discount: \"1.5\""),
            (broken("2016-07-04", "4.7.2016"), "order_date: \"4.7.2016\" is not a date"),
            (broken("2016-07-16", "2016-07-01"), "is before order_date"),
            (broken("VINET", ""), "customer_id is empty"),
            (broken("32.38", "-1"), "negative"),
            ("10248,VINET\r\n".to_owned(), "2 fields, the header has 13"),
        ];
        for (line, reason) in cases {
            let last = FIRST.replace("10248", "10250");
            let file = read(&[&line, &last]);
            assert_eq!((file.orders.len(), file.lines), (1, 1), "{line}");
            assert_eq!(file.bad_lines.len(), 1, "{line}");
            let told = file.bad_lines[0].to_string();
            assert!(told.starts_with("line 2: ") && told.contains(reason), "{told}");
        }
    }

    #[test]
    fn lines_that_contradict_their_order_are_bad() {
        let contradicting = FIRST.replace("VINET", "TOMSP").replace(",11,", ",12,");
        let file = read(&[FIRST, FIRST, &contradicting]);
        assert_eq!(file.orders.len(), 1);
        let told: Vec<_> = file.bad_lines.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 3: product 11 is in order 10248 already",
                "line 4: order 10248 has another customer, date or shipment in line 2",
            ]
        );
    }

    #[test]
    fn lines_are_counted_as_editors_do() {
        for end in ["\n", "\r\n"] {
            let bad = FIRST.replace("VINET", "");
            let quoted = FIRST.replace(",Queso Cabrales,", ",\"Queso\r\nCabrales\",");
            let text = format!("{HEADER}{quoted}\r\n{bad}").replace("\r\n", end);
            let file = OrderFile::parse(text.as_bytes(), Path::new("orders.csv")).unwrap();
            assert_eq!(file.lines, 1);
            assert_eq!(file.bad_lines[0].line, 5);
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_a_bad_line() {
        let mut bytes = HEADER.as_bytes().to_vec();
        bytes.extend(FIRST.as_bytes().iter().map(|b| if *b == b'Q' { 0xff } else { *b }));
        bytes.extend(FIRST.as_bytes());
        let file = OrderFile::parse(&bytes, Path::new("orders.csv")).unwrap();
        assert_eq!(file.lines, 1);
        assert_eq!(file.bad_lines[0].to_string(), "line 2: not UTF-8 in field 10");
    }

    #[test]
    fn another_header_and_a_missing_file_are_errors() {
        let error = OrderFile::parse(b"a,b\n1,2\n", Path::new("x.csv")).unwrap_err();
        assert!(error.to_string().contains("lacks order_id, customer_id"), "{error}");
        let error = OrderFile::read(Path::new("/nowhere/x.csv")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/x.csv");
    }
}
