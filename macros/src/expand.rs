//! The code that a derive turns into.
//!
//! Two hidden mirrors of the user's type do the work, so that hers needs no serde derives:
//! to write, serde's `remote` derive on an untagged mirror, which borrows the fields and
//! gives `with` functions the very type they expect; to read, one struct per type of event,
//! since the stored type says which variant it is and nothing has to be guessed.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Attribute, Field, Index, LitStr};

use crate::model::{EventType, Events, Kind, Shape};

pub(crate) fn expand(events: &Events) -> TokenStream {
    let Events { ident, messina, types, .. } = events;
    let serde_path = serde_path(messina);
    let mirror = mirror(events, &serde_path);
    let stored = types.iter().map(|event| stored_struct(event, messina, &serde_path));
    let entries = types.iter().map(|event| {
        let (name, version) = (&event.name, event.version);
        quote!((#name, #version))
    });
    let name_arms = types.iter().map(|event| {
        let (pattern, name) = (any(event, events.kind), &event.name);
        quote!(#pattern => #name,)
    });
    let version_arms = types.iter().map(|event| {
        let (pattern, version) = (any(event, events.kind), event.version);
        quote!(#pattern => #version,)
    });
    let to_payload = to_payload(events);
    let from_payload = types.iter().map(|event| from_payload(event, events));

    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unreachable_patterns, clippy::all, clippy::pedantic)]
        const _: () = {
            #mirror
            #(#stored)*

            #[automatically_derived]
            impl #messina::DomainEvent for #ident {
                const TYPES: &'static [(&'static str, i32)] = &[#(#entries),*];

                fn event_type(&self) -> &'static str {
                    match self { #(#name_arms)* }
                }

                fn event_version(&self) -> i32 {
                    match self { #(#version_arms)* }
                }

                fn to_payload(
                    &self,
                ) -> ::core::result::Result<#messina::Payload, #messina::PayloadError> {
                    #to_payload
                }

                fn from_payload(
                    event_type: &str,
                    event_version: i32,
                    payload: &#messina::Payload,
                ) -> ::core::result::Result<Self, #messina::PayloadError> {
                    match (event_type, event_version) {
                        #(#from_payload)*
                        _ if <Self as #messina::DomainEvent>::TYPES
                            .iter()
                            .any(|(name, _)| *name == event_type) =>
                        {
                            ::core::result::Result::Err(#messina::PayloadError::UnknownVersion {
                                event_type: event_type.into(),
                                event_version,
                            })
                        }
                        _ => ::core::result::Result::Err(#messina::PayloadError::UnknownType {
                            event_type: event_type.into(),
                        }),
                    }
                }
            }
        };
    }
}

/// The path of serde as its derives take it.
fn serde_path(messina: &TokenStream) -> LitStr {
    let path = quote!(#messina::__private::serde).to_string().replace(' ', "");
    LitStr::new(&path, proc_macro2::Span::call_site())
}

/// A pattern for any value of this type of event.
fn any(event: &EventType, kind: Kind) -> TokenStream {
    let path = event.path(kind);
    match event.shape {
        Shape::Unit => path,
        Shape::Newtype(_) => quote!(#path(..)),
        Shape::Struct(_) => quote!(#path { .. }),
    }
}

/// The mirror that payloads are written through, and a newtype around a borrowed event.
fn mirror(events: &Events, serde_path: &LitStr) -> TokenStream {
    let Events { ident, messina, kind, types } = events;
    if types.iter().all(|event| matches!(event.shape, Shape::Unit)) {
        return TokenStream::new();
    }
    let remote = LitStr::new(&ident.to_string(), ident.span());
    let mirror = match kind {
        Kind::Enum => {
            let variants = types.iter().map(|event| {
                let (variant, rename_all) = (&event.ident, &event.rename_all);
                match &event.shape {
                    Shape::Unit => quote!(#variant,),
                    Shape::Newtype(field) => {
                        let field = carried(field);
                        quote!(#variant(#field),)
                    }
                    Shape::Struct(fields) => {
                        let fields = fields.iter().map(carried);
                        quote!(#rename_all #variant { #(#fields),* },)
                    }
                }
            });
            quote! {
                #[serde(untagged)]
                enum __Mirror { #(#variants)* }
            }
        }
        Kind::Struct => {
            let rename_all = types.iter().map(|event| &event.rename_all);
            let body = types.iter().map(|event| struct_body(&event.shape));
            quote! {
                #(#rename_all)*
                struct __Mirror #(#body)*
            }
        }
    };
    quote! {
        #[derive(#messina::__private::serde::Serialize)]
        #[serde(crate = #serde_path, remote = #remote)]
        #mirror

        struct __Written<'event>(&'event #ident);

        impl #messina::__private::serde::Serialize for __Written<'_> {
            fn serialize<S: #messina::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                __Mirror::serialize(self.0, serializer)
            }
        }
    }
}

/// The struct that one type's payload is read into.
fn stored_struct(event: &EventType, messina: &TokenStream, serde_path: &LitStr) -> TokenStream {
    let stored = event.stored_ident();
    // What serde names in its messages: "invalid type: …, expected struct Placed".
    let shown = LitStr::new(&event.ident.to_string(), event.ident.span());
    let (rename_all, deny) = (&event.rename_all, &event.deny_unknown_fields);
    let body = match &event.shape {
        // With braces, so that it is read from an object.
        Shape::Unit => quote!({}),
        shape => struct_body(shape),
    };
    quote! {
        #[derive(#messina::__private::serde::Deserialize)]
        #[serde(crate = #serde_path, rename = #shown)]
        #rename_all
        #deny
        struct #stored #body
    }
}

fn struct_body(shape: &Shape) -> TokenStream {
    match shape {
        Shape::Unit => quote!(;),
        Shape::Newtype(field) => {
            let field = carried(field);
            quote!((#field);)
        }
        Shape::Struct(fields) => {
            let fields = fields.iter().map(carried);
            quote!({ #(#fields),* })
        }
    }
}

/// A field with its serde attributes and nothing else.
fn carried(field: &Field) -> TokenStream {
    let attributes = field.attrs.iter().filter(|a: &&Attribute| a.path().is_ident("serde"));
    let ty = &field.ty;
    let name = field.ident.as_ref().map(|ident| quote_spanned!(ident.span()=> #ident:));
    quote!(#(#attributes)* #name #ty)
}

fn to_payload(events: &Events) -> TokenStream {
    let Events { messina, types, kind, .. } = events;
    let empty = quote! {
        ::core::result::Result::Ok(#messina::Payload::from_json_text("{}"))
    };
    let units: Vec<_> = types
        .iter()
        .filter(|event| matches!(event.shape, Shape::Unit))
        .map(|event| event.path(*kind))
        .collect();
    if units.len() == types.len() {
        return empty;
    }
    quote! {
        match self {
            #(#units => #empty,)*
            event => match #messina::__private::serde_json::to_string(&__Written(event)) {
                ::core::result::Result::Ok(text) => {
                    ::core::result::Result::Ok(#messina::Payload::from_json_text(text))
                }
                ::core::result::Result::Err(source) => {
                    ::core::result::Result::Err(#messina::PayloadError::Encode {
                        event_type: #messina::DomainEvent::event_type(self),
                        source,
                    })
                }
            },
        }
    }
}

fn from_payload(event: &EventType, events: &Events) -> TokenStream {
    let messina = &events.messina;
    let (name, version, stored) = (&event.name, event.version, event.stored_ident());
    let path = event.path(events.kind);
    let built = match &event.shape {
        Shape::Unit => path,
        Shape::Newtype(_) => {
            let inner = Index::from(0);
            quote!(#path(stored.#inner))
        }
        Shape::Struct(fields) => {
            let fields = fields.iter().filter_map(|field| field.ident.as_ref());
            quote!(#path { #(#fields: stored.#fields),* })
        }
    };
    quote! {
        (#name, #version) => {
            match #messina::__private::serde_json::from_str::<#stored>(payload.as_str()) {
                ::core::result::Result::Ok(stored) => ::core::result::Result::Ok(#built),
                ::core::result::Result::Err(source) => {
                    ::core::result::Result::Err(#messina::PayloadError::Decode {
                        event_type: event_type.into(),
                        event_version,
                        source,
                    })
                }
            }
        }
    }
}
