//! What a derive is about: the events that an enum or a struct declares, checked.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Path, Result};

use crate::attributes::{EventAttributes, PayloadAttributes, Place};

/// A type that stands for one or more types of event.
pub(crate) struct Events {
    /// The user's type.
    pub(crate) ident: Ident,
    /// Path of the messina crate.
    pub(crate) messina: TokenStream,
    pub(crate) kind: Kind,
    pub(crate) types: Vec<EventType>,
}

/// Whether the user's type is an enum or a struct.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Enum,
    Struct,
}

/// One type of event: a variant, or the whole struct.
pub(crate) struct EventType {
    /// The variant's or the struct's name.
    pub(crate) ident: Ident,
    /// The name that is stored.
    pub(crate) name: LitStr,
    pub(crate) version: i32,
    pub(crate) shape: Shape,
    /// `#[serde(rename_all …)]`, if any.
    pub(crate) rename_all: Option<TokenStream>,
    /// `#[serde(deny_unknown_fields)]`, if asked for.
    pub(crate) deny_unknown_fields: Option<TokenStream>,
}

/// The form of an event's fields.
pub(crate) enum Shape {
    /// `Cancelled`: payload `{}`.
    Unit,
    /// `Moved(Address)`: payload is the inner value's JSON.
    Newtype(Box<Field>),
    /// `Placed { … }`: an object with a key per field.
    Struct(Vec<Field>),
}

impl Events {
    /// Reads and checks the input; reports all mistakes at once.
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        let mut problems = Problems::default();
        if !input.generics.params.is_empty() {
            problems.add(Error::new(
                input.generics.span(),
                "an event is stored under one name and has to mean one type: \
                 replace the generics by concrete types",
            ));
        }
        let (kind, types, crate_path) = match &input.data {
            Data::Enum(data) => {
                let of_enum = problems
                    .note(EventAttributes::read(&input.attrs, Place::Enum))
                    .unwrap_or_default();
                let shared =
                    problems.note(PayloadAttributes::read(&input.attrs)).unwrap_or_default();
                if data.variants.is_empty() {
                    problems.add(Error::new(
                        input.ident.span(),
                        "an enum of events needs a variant per type of event",
                    ));
                }
                let read = data.variants.iter().map(|variant| {
                    let place = Declared {
                        ident: &variant.ident,
                        attributes: &variant.attrs,
                        fields: &variant.fields,
                    };
                    place.read(Place::Variant, of_enum.prefix.as_ref(), &shared)
                });
                let types = read.filter_map(|read| problems.note(read)).collect();
                (Kind::Enum, types, of_enum.crate_path)
            }
            Data::Struct(data) => {
                let place = Declared {
                    ident: &input.ident,
                    attributes: &input.attrs,
                    fields: &data.fields,
                };
                let read = place.read(Place::Struct, None, &PayloadAttributes::default());
                let crate_path = problems
                    .note(EventAttributes::read(&input.attrs, Place::Struct))
                    .and_then(|attributes| attributes.crate_path);
                (Kind::Struct, problems.note(read).into_iter().collect(), crate_path)
            }
            Data::Union(data) => {
                problems.add(Error::new(
                    data.union_token.span,
                    "a union cannot be stored: events are enums or structs",
                ));
                (Kind::Struct, Vec::new(), None)
            }
        };
        check_names(&types, &mut problems);
        problems.into_result()?;
        let messina = messina_path(crate_path.as_ref());
        Ok(Self { ident: input.ident.clone(), messina, kind, types })
    }
}

fn messina_path(given: Option<&Path>) -> TokenStream {
    given.map_or_else(|| quote!(::messina), |path| quote!(#path))
}

/// Each name leads back to one variant.
fn check_names(types: &[EventType], problems: &mut Problems) {
    let mut first: HashMap<String, &Ident> = HashMap::new();
    for event in types {
        if let Some(other) = first.insert(event.name.value(), &event.ident) {
            problems.add(Error::new(
                event.name.span(),
                format!(
                    "the event type {:?} already means `{other}`: give each variant \
                     a `name` of its own",
                    event.name.value()
                ),
            ));
        }
    }
}

/// A variant or a struct as it stands in the source.
struct Declared<'a> {
    ident: &'a Ident,
    attributes: &'a [Attribute],
    fields: &'a Fields,
}

impl Declared<'_> {
    fn read(
        &self,
        place: Place,
        prefix: Option<&LitStr>,
        shared: &PayloadAttributes,
    ) -> Result<EventType> {
        let event = EventAttributes::read(self.attributes, place)?;
        let payload = PayloadAttributes::read(self.attributes)?;
        let name = event.name.unwrap_or_else(|| {
            let prefix = prefix.map(LitStr::value).unwrap_or_default();
            LitStr::new(&format!("{prefix}{}", self.ident.unraw()), self.ident.span())
        });
        Ok(EventType {
            ident: self.ident.clone(),
            name,
            version: event.version.unwrap_or(1),
            shape: self.shape()?,
            rename_all: payload.rename_all(shared),
            deny_unknown_fields: payload.deny_unknown_fields(),
        })
    }

    fn shape(&self) -> Result<Shape> {
        match self.fields {
            Fields::Unit => Ok(Shape::Unit),
            Fields::Named(fields) => Ok(Shape::Struct(fields.named.iter().cloned().collect())),
            Fields::Unnamed(fields) => {
                let mut fields_of_tuple = fields.unnamed.iter();
                match (fields_of_tuple.next(), fields_of_tuple.next()) {
                    (Some(field), None) => Ok(Shape::Newtype(Box::new(field.clone()))),
                    (None, _) => Err(Error::new(
                        fields.span(),
                        format!("an event without fields is written `{}`", self.ident),
                    )),
                    _ => Err(Error::new(
                        fields.span(),
                        format!(
                            "the payload is an object with a key per field, so fields need \
                             names: `{} {{ … }}`",
                            self.ident
                        ),
                    )),
                }
            }
        }
    }
}

impl EventType {
    /// The hidden struct that the payload is deserialized into.
    pub(crate) fn stored_ident(&self) -> Ident {
        format_ident!("__Stored{}", self.ident.unraw())
    }

    /// How the user's type is written in patterns and expressions.
    pub(crate) fn path(&self, kind: Kind) -> TokenStream {
        let ident = &self.ident;
        match kind {
            Kind::Enum => quote_spanned!(ident.span()=> Self::#ident),
            Kind::Struct => quote!(Self),
        }
    }
}

/// Mistakes found so far.
#[derive(Default)]
struct Problems(Option<Error>);

impl Problems {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn read(input: DeriveInput) -> Events {
        Events::read(&input).unwrap()
    }

    fn mistakes(input: DeriveInput) -> Vec<String> {
        let Err(error) = Events::read(&input) else { panic!("accepted") };
        error.into_iter().map(|error| error.to_string()).collect()
    }

    fn names_and_versions(events: &Events) -> Vec<(String, i32)> {
        events.types.iter().map(|event| (event.name.value(), event.version)).collect()
    }

    #[test]
    fn a_variant_is_named_after_itself_and_has_version_1() {
        let events = read(parse_quote! {
            enum E { Placed { total: i64 }, Cancelled, Moved(Address) }
        });
        let expected = ["Placed", "Cancelled", "Moved"].map(|name| (name.to_owned(), 1));
        assert_eq!(names_and_versions(&events), expected);
    }

    #[test]
    fn a_prefix_goes_before_names_that_are_not_given() {
        let events = read(parse_quote! {
            #[event(prefix = "Order")]
            enum E {
                #[event(version = 3)]
                Placed,
                #[event(name = "Cancelled")]
                GivenUp,
            }
        });
        assert_eq!(
            names_and_versions(&events),
            [("OrderPlaced".to_owned(), 3), ("Cancelled".to_owned(), 1)]
        );
    }

    #[test]
    fn a_raw_identifier_is_named_without_its_mark() {
        let events = read(parse_quote! { enum E { r#Loop } });
        assert_eq!(names_and_versions(&events), [("Loop".to_owned(), 1)]);
    }

    #[test]
    fn two_variants_of_one_name_are_refused() {
        let found = mistakes(parse_quote! {
            enum E { Placed, #[event(name = "Placed")] Other }
        });
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("\"Placed\" already means `Placed`"), "{found:?}");
    }

    #[test]
    fn versions_below_1_are_refused() {
        for version in ["0", "-1", "99999999999"] {
            let version: TokenStream = version.parse().unwrap();
            let found = mistakes(parse_quote! { enum E { #[event(version = #version)] A } });
            assert!(found[0].contains("versions count from 1"), "{found:?}");
        }
    }

    #[test]
    fn generics_are_refused() {
        let found = mistakes(parse_quote! { enum E<T> { A(T) } });
        assert!(found[0].contains("concrete types"), "{found:?}");
    }

    #[test]
    fn a_tuple_of_several_fields_is_refused_with_the_way_to_write_it() {
        let found = mistakes(parse_quote! { enum E { Moved(i64, i64) } });
        assert!(found[0].contains("`Moved { … }`"), "{found:?}");
    }

    #[test]
    fn an_attribute_in_the_wrong_place_names_those_that_fit() {
        let found = mistakes(parse_quote! { #[event(name = "X")] enum E { A } });
        assert_eq!(found, ["`#[event(…)]` on an enum takes `prefix`, `crate`"]);
        let found = mistakes(parse_quote! { enum E { #[event(nmae = "X")] A } });
        assert_eq!(found, ["`#[event(…)]` on a variant takes `name`, `version`"]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let found = mistakes(parse_quote! {
            enum E<T> {
                #[event(version = 0)]
                A(T),
                B(i64, i64),
                #[event(name = "")]
                C,
            }
        });
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn an_enum_without_variants_and_a_union_are_refused() {
        assert_eq!(mistakes(parse_quote! { enum E {} }).len(), 1);
        assert_eq!(mistakes(parse_quote! { union U { a: u8, b: i8 } }).len(), 1);
    }
}
