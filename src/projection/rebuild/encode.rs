//! Writes as the bytes that go over the wire.
//!
//! A replay holds thousands of writes at a time and sorts them by partition: as bytes they
//! are small, and their partition is known without the projection's types.

use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::projection::statements::{WriteStatement, values};
use crate::projection::writes::Write;

/// A write's values, in the order of its statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncodedRow {
    /// Each with its length before it, as the protocol has them.
    cells: Vec<u8>,
}

impl EncodedRow {
    /// Checks the values' types against the statement's and encodes them.
    pub(super) fn of(
        write: &Write,
        timestamp: i64,
        statement: &WriteStatement,
    ) -> Result<Self, SerializationError> {
        let specs = statement.prepared.get_variable_col_specs();
        let context = RowSerializationContext::from_specs(specs.as_slice());
        let mut cells = Vec::with_capacity(128);
        let mut writer = RowWriter::new(&mut cells);
        values(write, &timestamp).serialize(&context, &mut writer)?;
        Ok(Self { cells })
    }

    /// Values as they were read, each with its length before it.
    pub(super) fn of_cells(cells: Vec<u8>) -> Self {
        Self { cells }
    }

    /// The partition that the write is in; `None` if the statement does not say.
    pub(super) fn partition(&self, statement: &WriteStatement) -> Option<Vec<u8>> {
        if statement.partition.is_empty() {
            return None;
        }
        let mut partition = Vec::with_capacity(24);
        for index in &statement.partition {
            let Cell::Value(bytes) = (Cells { rest: &self.cells }).nth(*index)? else {
                return None;
            };
            partition.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            partition.extend_from_slice(bytes);
        }
        Some(partition)
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> usize {
        self.cells.len()
    }
}

impl SerializeRow for EncodedRow {
    fn serialize(
        &self,
        _context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        for cell in (Cells { rest: &self.cells }) {
            let writer = writer.make_cell_writer();
            match cell {
                Cell::Null => writer.set_null(),
                Cell::Unset => writer.set_unset(),
                Cell::Value(bytes) => writer.set_value(bytes).map_err(SerializationError::new)?,
            };
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        false
    }
}

enum Cell<'c> {
    Null,
    Unset,
    Value(&'c [u8]),
}

struct Cells<'c> {
    rest: &'c [u8],
}

impl<'c> Iterator for Cells<'c> {
    type Item = Cell<'c>;

    fn next(&mut self) -> Option<Cell<'c>> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        // -1 is null, -2 is unset: native protocol v4, section 3, [value].
        match i32::from_be_bytes(*length) {
            -2 => Some(Cell::Unset),
            length => {
                let Ok(length) = usize::try_from(length) else { return Some(Cell::Null) };
                let (value, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Some(Cell::Value(value))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scylla::frame::response::result::{ColumnSpec, ColumnType, NativeType, TableSpec};

    use super::*;

    #[test]
    fn what_was_encoded_is_written_again_as_it_was() {
        let table = || TableSpec::owned("k".to_owned(), "t".to_owned());
        let spec = |name: &str, native| {
            ColumnSpec::owned(name.to_owned(), ColumnType::Native(native), table())
        };
        let specs = [
            spec("a", NativeType::Int),
            spec("b", NativeType::Text),
            spec("c", NativeType::BigInt),
        ];
        let context = RowSerializationContext::from_specs(&specs);
        let mut cells = Vec::new();
        (7_i32, None::<&str>, 9_i64).serialize(&context, &mut RowWriter::new(&mut cells)).unwrap();
        let row = EncodedRow { cells: cells.clone() };
        let mut again = Vec::new();
        let mut writer = RowWriter::new(&mut again);
        row.serialize(&context, &mut writer).unwrap();
        assert_eq!(writer.value_count(), 3);
        assert_eq!(again, cells);
    }
}
