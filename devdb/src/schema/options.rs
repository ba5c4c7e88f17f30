//! `WITH …`: what tables and keyspaces may be told, and how it is kept.

use std::collections::BTreeMap;

use super::extensions::{self, Extension, ExtensionKind, text_map};
use super::model::{CdcOptions, PreimageMode, TableOptions};
use crate::error::{CqlError, Result};
use crate::parse::ast::{Literal, OptionValue};

/// ScyllaDB's limit on TTLs: twenty years.
pub const MAX_TTL: i64 = 20 * 365 * 24 * 60 * 60;

/// Log rows live for a day unless the option says otherwise.
const DEFAULT_CDC_TTL: i64 = 86_400;

impl Default for TableOptions {
    fn default() -> Self {
        let text = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        TableOptions {
            comment: String::new(),
            default_time_to_live: 0,
            gc_grace_seconds: 864_000,
            bloom_filter_fp_chance: 0.01,
            caching: text(&[("keys", "ALL"), ("rows_per_partition", "ALL")]),
            compaction: text(&[("class", "SizeTieredCompactionStrategy")]),
            compression: text(&[(
                "sstable_compression",
                "org.apache.cassandra.io.compress.LZ4Compressor",
            )]),
            crc_check_chance: 1.0,
            max_index_interval: 2048,
            memtable_flush_period_in_ms: 0,
            min_index_interval: 128,
            speculative_retry: "99.0PERCENTILE".to_owned(),
            dclocal_read_repair_chance: 0.0,
            read_repair_chance: 0.0,
            extensions: BTreeMap::new(),
        }
    }
}

impl Default for CdcOptions {
    fn default() -> Self {
        CdcOptions {
            enabled: false,
            preimage: PreimageMode::Off,
            postimage: false,
            delta_keys_only: false,
            ttl: DEFAULT_CDC_TTL,
        }
    }
}

impl CdcOptions {
    /// The pairs that `system_schema.scylla_tables`-like listings and the `extensions`
    /// blob hold.
    pub fn pairs(&self) -> [(&'static str, String); 5] {
        [
            ("delta", if self.delta_keys_only { "keys" } else { "full" }.to_owned()),
            ("enabled", self.enabled.to_string()),
            ("postimage", self.postimage.to_string()),
            (
                "preimage",
                match self.preimage {
                    PreimageMode::Off => "false",
                    PreimageMode::On => "true",
                    PreimageMode::Full => "full",
                }
                .to_owned(),
            ),
            ("ttl", self.ttl.to_string()),
        ]
    }

    /// `system_schema.tables.extensions['cdc']`: a map of strings in ScyllaDB's own
    /// serialization (little-endian lengths).
    pub fn extension(&self) -> Vec<u8> {
        let pairs = self.pairs();
        text_map(pairs.iter().map(|(key, value)| (*key, value.as_str())))
    }
}

/// The text of a constant, whatever it was written as.
pub fn text_of(value: &OptionValue) -> Option<String> {
    match value {
        OptionValue::Literal(literal) => Some(match literal {
            Literal::Integer(text) | Literal::Float(text) | Literal::String(text) => text.clone(),
            Literal::Boolean(value) => value.to_string(),
            Literal::Uuid(value) => value.to_string(),
            Literal::Hex(_) => return None,
            Literal::Duration(text) => text.clone(),
        }),
        OptionValue::Map(_) => None,
    }
}

/// The map of texts that an option holds.
pub fn map_of(name: &str, value: &OptionValue) -> Result<BTreeMap<String, String>> {
    let invalid =
        || CqlError::syntax(format!("Invalid value for property '{name}'. It should be a map."));
    let OptionValue::Map(pairs) = value else {
        return Err(invalid());
    };
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        map.insert(key.clone(), text_of(value).ok_or_else(invalid)?);
    }
    Ok(map)
}

fn scalar(name: &str, value: &OptionValue) -> Result<String> {
    text_of(value).ok_or_else(|| {
        CqlError::syntax(format!("Invalid value for property '{name}'. It should be a string"))
    })
}

fn int(name: &str, value: &OptionValue) -> Result<i32> {
    let text = scalar(name, value)?;
    text.parse().map_err(|_| CqlError::syntax(format!("Invalid integer value {text} for '{name}'")))
}

fn double(name: &str, value: &OptionValue) -> Result<f64> {
    let text = scalar(name, value)?;
    text.parse().map_err(|_| CqlError::syntax(format!("Invalid double value {text} for '{name}'")))
}

fn at_least(name: &str, value: i32, least: i32) -> Result<i32> {
    if value < least {
        return Err(CqlError::config(format!(
            "{name} must be greater than or equal to {least} (got {value})"
        )));
    }
    Ok(value)
}

fn chance(name: &str, value: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&value) {
        return Err(CqlError::config(format!("{name} must be between 0.0 and 1.0 (got {value})")));
    }
    Ok(value)
}

/// Applies the options of CREATE TABLE or ALTER TABLE. `cdc` is the table's CDC option
/// before, and after.
pub fn apply_table_options(
    given: &[(String, OptionValue)],
    options: &mut TableOptions,
    cdc: &mut Option<CdcOptions>,
) -> Result<()> {
    for (index, (name, value)) in given.iter().enumerate() {
        if given[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(CqlError::syntax(format!("Multiple definition for property '{name}'")));
        }
        match name.as_str() {
            "comment" => options.comment = scalar(name, value)?,
            "default_time_to_live" => {
                let ttl = int(name, value)?;
                if ttl < 0 {
                    return Err(CqlError::config(format!(
                        "default_time_to_live must be greater than or equal to 0 (got {ttl})"
                    )));
                }
                if i64::from(ttl) > MAX_TTL {
                    return Err(CqlError::config(format!(
                        "default_time_to_live must be less than or equal to {MAX_TTL} (got {ttl})"
                    )));
                }
                options.default_time_to_live = ttl;
            }
            "gc_grace_seconds" => options.gc_grace_seconds = at_least(name, int(name, value)?, 0)?,
            "bloom_filter_fp_chance" => {
                options.bloom_filter_fp_chance = chance(name, double(name, value)?)?;
            }
            "crc_check_chance" => options.crc_check_chance = chance(name, double(name, value)?)?,
            "max_index_interval" => {
                options.max_index_interval = at_least(name, int(name, value)?, 1)?;
            }
            "min_index_interval" => {
                options.min_index_interval = at_least(name, int(name, value)?, 1)?;
            }
            "memtable_flush_period_in_ms" => {
                options.memtable_flush_period_in_ms = at_least(name, int(name, value)?, 0)?;
            }
            "speculative_retry" => {
                options.speculative_retry = speculative_retry(&scalar(name, value)?)?;
            }
            "caching" => options.caching = map_of(name, value)?,
            "compaction" => {
                let mut map = map_of(name, value)?;
                let class = map.get("class").ok_or_else(|| {
                    CqlError::config("Missing sub-option 'class' for the 'compaction' option.")
                })?;
                let short = class.rsplit('.').next().unwrap_or(class).to_owned();
                if !matches!(
                    short.as_str(),
                    "SizeTieredCompactionStrategy"
                        | "LeveledCompactionStrategy"
                        | "TimeWindowCompactionStrategy"
                        | "DateTieredCompactionStrategy"
                        | "IncrementalCompactionStrategy"
                        | "NullCompactionStrategy"
                ) {
                    return Err(CqlError::config(format!(
                        "Unable to find compaction strategy class '{class}'"
                    )));
                }
                map.insert("class".to_owned(), short);
                options.compaction = map;
            }
            "compression" => options.compression = compression(map_of(name, value)?)?,
            "read_repair_chance" => {
                options.read_repair_chance = chance(name, double(name, value)?)?;
            }
            "dclocal_read_repair_chance" => {
                options.dclocal_read_repair_chance = chance(name, double(name, value)?)?;
            }
            "cdc" => {
                let map = match value {
                    OptionValue::Map(_) => map_of(name, value)?,
                    OptionValue::Literal(_) => {
                        return Err(CqlError::syntax(
                            "Invalid value for property 'cdc'. It should be a map.",
                        ));
                    }
                };
                *cdc = Some(cdc_options(&map)?);
            }
            "id" | "extensions" => {
                return Err(CqlError::unsupported(format!("table option {name}")));
            }
            _ => {
                let extension = extension(name, value)?;
                options.extensions.insert(name.clone(), extension);
            }
        }
    }
    Ok(())
}

fn extension(name: &str, value: &OptionValue) -> Result<Extension> {
    let extension = match extensions::kind(name) {
        Some(ExtensionKind::Map) => Extension::Map(map_of(name, value)?),
        Some(ExtensionKind::Seconds) => Extension::Int(int(name, value)?),
        Some(ExtensionKind::Flag) => {
            Extension::Flag(scalar(name, value)?.parse().map_err(|_| {
                CqlError::syntax(format!("Invalid boolean value for property '{name}'"))
            })?)
        }
        None => return Err(CqlError::syntax(format!("Unknown property '{name}'"))),
    };
    extensions::check(name, &extension)?;
    Ok(extension)
}

/// As ScyllaDB writes it: `99.0PERCENTILE`, `10.00ms`, `NONE`, `ALWAYS`.
fn speculative_retry(value: &str) -> Result<String> {
    let upper = value.to_ascii_uppercase();
    if upper == "NONE" || upper == "ALWAYS" {
        return Ok(upper);
    }
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let percentile = upper.strip_suffix("PERCENTILE").and_then(number);
    let milliseconds = upper.strip_suffix("MS").and_then(number);
    match (percentile, milliseconds) {
        (Some(percentile), _) if (0.0..=100.0).contains(&percentile) => {
            Ok(format!("{percentile:.1}PERCENTILE"))
        }
        (_, Some(milliseconds)) if milliseconds >= 0.0 => Ok(format!("{milliseconds:.2}ms")),
        _ => Err(CqlError::config(format!("Invalid value {value} for option 'speculative_retry'"))),
    }
}

fn compression(mut map: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    if map.remove("enabled").is_some_and(|on| on == "false") {
        return Ok(BTreeMap::new());
    }
    let class = map.remove("class").or_else(|| map.remove("sstable_compression"));
    let Some(class) = class else {
        if map.is_empty() {
            return Ok(map);
        }
        return Err(CqlError::config(
            "Missing sub-option 'sstable_compression' for the 'compression' option.",
        ));
    };
    if class.is_empty() {
        return Ok(BTreeMap::new());
    }
    const KNOWN: [&str; 6] = [
        "LZ4Compressor",
        "LZ4WithDictsCompressor",
        "SnappyCompressor",
        "DeflateCompressor",
        "ZstdCompressor",
        "ZstdWithDictsCompressor",
    ];
    if !KNOWN.contains(&class.rsplit('.').next().unwrap_or_default()) {
        return Err(CqlError::config(format!("Unsupported compression class '{class}'")));
    }
    let full = if class.contains('.') {
        class
    } else {
        format!("org.apache.cassandra.io.compress.{class}")
    };
    map.insert("sstable_compression".to_owned(), full);
    Ok(map)
}

fn cdc_options(map: &BTreeMap<String, String>) -> Result<CdcOptions> {
    let mut options = CdcOptions::default();
    let bad = |key: &str, value: &str| {
        CqlError::config(format!("Invalid value for CDC option \"{key}\": {value}"))
    };
    let flag = |key: &str, value: &str| match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad(key, value)),
    };
    for (key, value) in map {
        match key.as_str() {
            "enabled" => options.enabled = flag(key, value)?,
            "preimage" => {
                options.preimage = if value.eq_ignore_ascii_case("full") {
                    PreimageMode::Full
                } else if flag(key, value)? {
                    PreimageMode::On
                } else {
                    PreimageMode::Off
                };
            }
            "postimage" => options.postimage = flag(key, value)?,
            "delta" => {
                options.delta_keys_only = match value.to_ascii_lowercase().as_str() {
                    "keys" => true,
                    "full" => false,
                    _ => return Err(bad(key, value)),
                };
            }
            "ttl" => {
                let ttl: i64 = value.parse().map_err(|_| bad(key, value))?;
                if ttl < 0 {
                    return Err(CqlError::config("Invalid CDC option: ttl must be >= 0"));
                }
                if ttl > i64::from(i32::MAX) {
                    return Err(CqlError::config("Invalid CDC option: ttl too large"));
                }
                options.ttl = ttl;
            }
            _ => return Err(CqlError::config(format!("Invalid CDC option: {key}"))),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> OptionValue {
        OptionValue::Map(
            pairs
                .iter()
                .map(|(k, v)| {
                    ((*k).to_owned(), OptionValue::Literal(Literal::String((*v).to_owned())))
                })
                .collect(),
        )
    }

    #[test]
    fn the_cdc_extension_is_the_recorded_blob() {
        let options = CdcOptions { enabled: true, ttl: 3600, ..CdcOptions::default() };
        let hex: String = options.extension().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "050000000500000064656c74610400000066756c6c07000000656e61626c6564040000007472756509000000706f7374696d6167650500000066616c736508000000707265696d6167650500000066616c73650300000074746c0400000033363030"
        );
    }

    #[test]
    fn unknown_options_are_refused_by_name() {
        let mut options = TableOptions::default();
        let mut cdc = None;
        let refused = apply_table_options(
            &[("cdc".to_owned(), map(&[("enabled", "true"), ("nonsense", "1")]))],
            &mut options,
            &mut cdc,
        )
        .unwrap_err();
        assert_eq!(refused.message, "Invalid CDC option: nonsense");
        let refused =
            apply_table_options(&[("colour".to_owned(), map(&[]))], &mut options, &mut cdc)
                .unwrap_err();
        assert_eq!(refused.message, "Unknown property 'colour'");
    }
}
