//! Streams' ids as numbers.

use scylla_cdc::cdc_types::StreamID;

use crate::consumer::progress::StreamId;

/// A stream's 16 bytes, which scylla-cdc shows only as text.
///
/// # Errors
/// That they are not 16.
pub(crate) fn stream_id(id: &StreamID) -> Result<StreamId, String> {
    let text = id.to_string();
    StreamId::from_str_radix(&text, 16).map_err(|_| format!("stream id {text:?} is not 16 bytes"))
}

/// The stream whose rows come now. They come stream after stream, and the way through text
/// costs more than everything else that an id is needed for.
#[derive(Debug, Default)]
pub(crate) struct CurrentStream(Option<(StreamID, StreamId)>);

impl CurrentStream {
    /// The id of a row's stream.
    ///
    /// # Errors
    /// As [`stream_id`].
    pub(crate) fn id(&mut self, of_row: &StreamID) -> Result<StreamId, String> {
        if let Some((known, id)) = &self.0
            && known == of_row
        {
            return Ok(*id);
        }
        let id = stream_id(of_row)?;
        self.0 = Some((of_row.clone(), id));
        Ok(id)
    }
}
