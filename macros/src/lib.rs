//! Derive macros of the `messina` crate, which re-exports them: depend on that one.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod attributes;
mod expand;
mod model;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `messina::DomainEvent`: the stored name and version of each event, and its
/// payload as JSON.
///
/// On an enum, each variant is a type of event. On a struct, the struct is one.
///
/// ```
/// use messina::DomainEvent;
///
/// #[derive(Clone, DomainEvent)]
/// #[event(prefix = "Order")]
/// enum OrderEvent {
///     // "OrderPlaced", version 2; payload {"customer":"alfki","total_cents":1200}
///     #[event(version = 2)]
///     Placed { customer: String, total_cents: i64 },
///     // "OrderCancelled", version 1; payload {}
///     Cancelled,
///     // "AddressChanged", version 1; payload: the JSON of `Address`
///     #[event(name = "AddressChanged")]
///     Moved(Address),
/// }
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Address {
///     city: String,
/// }
/// # assert_eq!(OrderEvent::Cancelled.event_type(), "OrderCancelled");
/// ```
///
/// # Attributes
///
/// | On | Attribute | Means |
/// |---|---|---|
/// | a variant, or a struct | `#[event(name = "…")]` | the stored type name; else the variant's own, after the prefix |
/// | a variant, or a struct | `#[event(version = N)]` | version of the payload's shape, from 1; else 1 |
/// | an enum | `#[event(prefix = "…")]` | put before the names of variants without a `name` |
/// | an enum, or a struct | `#[event(crate = "…")]` | path of the `messina` crate, where it goes by another name |
///
/// The type has a column of its own, so the payload is the variant's fields and nothing
/// else: no tag. The event needs no serde derives, and its crate no dependency on serde.
/// Fields (and newtype variants' inner types) do implement `Serialize` and `Deserialize`.
///
/// These serde attributes shape the payload: all those of fields; `rename_all` and
/// `deny_unknown_fields` on a variant or a struct; `rename_all_fields` on an enum. Others
/// (`tag`, a variant's `rename`) are left to derives of serde's own beside this one: they
/// are about telling variants apart, which is done by `name` here.
#[proc_macro_derive(DomainEvent, attributes(event, serde))]
pub fn derive_domain_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    model::Events::read(&input)
        .map(|events| expand::expand(&events))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
