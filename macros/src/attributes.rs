//! Reading `#[event(…)]`, and those parts of `#[serde(…)]` that shape a payload.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitInt, LitStr, Path, Result, Token};

/// What `#[event(…)]` says, in whatever place it stands.
#[derive(Default)]
pub(crate) struct EventAttributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<i32>,
    pub(crate) prefix: Option<LitStr>,
    pub(crate) crate_path: Option<Path>,
}

/// Where an `#[event(…)]` stands, which decides what it may say.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Enum,
    Variant,
    Struct,
}

impl Place {
    fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::Enum => &["prefix", "crate"],
            Self::Variant => &["name", "version"],
            Self::Struct => &["name", "version", "crate"],
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Enum => "an enum",
            Self::Variant => "a variant",
            Self::Struct => "a struct",
        }
    }
}

impl EventAttributes {
    pub(crate) fn read(attributes: &[Attribute], place: Place) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
            attribute.parse_nested_meta(|meta| read.take(&meta, place))?;
        }
        Ok(read)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if !place.allowed().contains(&key.as_str()) {
            let known: Vec<_> = place.allowed().iter().map(|key| format!("`{key}`")).collect();
            return Err(meta.error(format!(
                "`#[event(…)]` on {} takes {}",
                place.noun(),
                known.join(", ")
            )));
        }
        let again = || meta.error(format!("`{key}` is given twice"));
        match key.as_str() {
            "name" if self.name.is_some() => Err(again()),
            "name" => {
                let name: LitStr = meta.value()?.parse()?;
                check_name(&name)?;
                self.name = Some(name);
                Ok(())
            }
            "version" if self.version.is_some() => Err(again()),
            "version" => {
                self.version = Some(version(meta)?);
                Ok(())
            }
            "prefix" if self.prefix.is_some() => Err(again()),
            "prefix" => {
                self.prefix = Some(meta.value()?.parse()?);
                Ok(())
            }
            _ if self.crate_path.is_some() => Err(again()),
            _ => {
                let path: LitStr = meta.value()?.parse()?;
                self.crate_path = Some(path.parse_with(Path::parse_mod_style)?);
                Ok(())
            }
        }
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text.is_empty() || text.trim() != text {
        return Err(syn::Error::new(
            name.span(),
            "an event's name is stored with every event: it cannot be empty, \
             nor begin or end with a space",
        ));
    }
    Ok(())
}

fn version(meta: &ParseNestedMeta<'_>) -> Result<i32> {
    let value = meta.value()?;
    let negative = value.peek(Token![-]);
    if negative {
        value.parse::<Token![-]>()?;
    }
    let literal: LitInt = value.parse()?;
    match literal.base10_parse::<i32>() {
        Ok(version) if version >= 1 && !negative => Ok(version),
        _ => Err(syn::Error::new(
            literal.span(),
            format!("versions count from 1, and up to {}", i32::MAX),
        )),
    }
}

/// The serde attributes of a container (an enum, a variant, a struct) that shape payloads.
#[derive(Default, Clone)]
pub(crate) struct PayloadAttributes {
    /// `rename_all …` or `rename_all_fields …`, with what follows the key.
    renames: Vec<(String, TokenStream)>,
    deny_unknown_fields: bool,
}

impl PayloadAttributes {
    /// Reads them, leaving others to serde's own derives.
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self::default();
        for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let rest = rest_of_item(&meta)?;
                match key.as_str() {
                    "rename_all" | "rename_all_fields" => read.renames.push((key, rest)),
                    "deny_unknown_fields" => read.deny_unknown_fields = true,
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(read)
    }

    /// `rename_all` for one variant: its own, or else the enum's `rename_all_fields`.
    pub(crate) fn rename_all(&self, of_enum: &Self) -> Option<TokenStream> {
        let own = self.renames.iter().find(|(key, _)| key == "rename_all");
        let shared = of_enum.renames.iter().find(|(key, _)| key == "rename_all_fields");
        own.or(shared).map(|(_, rest)| quote!(#[serde(rename_all #rest)]))
    }

    pub(crate) fn deny_unknown_fields(&self) -> Option<TokenStream> {
        self.deny_unknown_fields.then(|| quote!(#[serde(deny_unknown_fields)]))
    }
}

/// What follows a key up to the next comma: nothing, `= value` or `(…)`.
fn rest_of_item(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let mut rest = TokenStream::new();
    while !meta.input.is_empty() && !meta.input.peek(Token![,]) {
        rest.extend([meta.input.parse::<proc_macro2::TokenTree>()?]);
    }
    Ok(rest)
}
