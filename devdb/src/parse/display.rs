//! How ScyllaDB prints types and terms in its messages.

use std::fmt::{self, Display, Formatter};

use super::ast::{BatchKind, BindMarker, Literal, Operator, TableName, Term, TypeName};

fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl Display for TypeName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            TypeName::Named { keyspace: None, name } => f.write_str(name),
            TypeName::Named { keyspace: Some(keyspace), name } => write!(f, "{keyspace}.{name}"),
            TypeName::Generic { name, parameters } => {
                write!(f, "{name}<")?;
                separated(f, parameters, ", ")?;
                f.write_str(">")
            }
            TypeName::Frozen(inner) => write!(f, "frozen<{inner}>"),
        }
    }
}

impl Display for TableName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.keyspace {
            Some(keyspace) => write!(f, "{keyspace}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Display for BindMarker {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("?")
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Integer(text) | Literal::Float(text) | Literal::Duration(text) => {
                f.write_str(text)
            }
            Literal::String(text) => write!(f, "'{text}'"),
            Literal::Boolean(value) => write!(f, "{value}"),
            Literal::Uuid(uuid) => write!(f, "{uuid}"),
            Literal::Hex(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Term::Null => f.write_str("null"),
            Term::Literal(literal) => write!(f, "{literal}"),
            Term::Bind(marker) => write!(f, "{marker}"),
            Term::List(terms) => {
                f.write_str("[")?;
                separated(f, terms, ", ")?;
                f.write_str("]")
            }
            Term::Set(terms) => {
                f.write_str("{")?;
                separated(f, terms, ", ")?;
                f.write_str("}")
            }
            Term::Map(entries) => {
                f.write_str("{")?;
                for (n, (key, value)) in entries.iter().enumerate() {
                    let separator = if n > 0 { ", " } else { "" };
                    write!(f, "{separator}{key}:{value}")?;
                }
                f.write_str("}")
            }
            Term::Udt(fields) => {
                f.write_str("{")?;
                for (n, (field, value)) in fields.iter().enumerate() {
                    let separator = if n > 0 { ", " } else { "" };
                    write!(f, "{separator}{field}:{value}")?;
                }
                f.write_str("}")
            }
            Term::Tuple(terms) => {
                f.write_str("(")?;
                separated(f, terms, ", ")?;
                f.write_str(")")
            }
            Term::Function { name, arguments } => {
                write!(f, "{name}(")?;
                separated(f, arguments, ", ")?;
                f.write_str(")")
            }
            Term::TypeHint { type_name, term } => write!(f, "({type_name}){term}"),
        }
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Eq => "=",
            Operator::Ne => "!=",
            Operator::Lt => "<",
            Operator::Le => "<=",
            Operator::Gt => ">",
            Operator::Ge => ">=",
            Operator::Contains => "CONTAINS",
            Operator::ContainsKey => "CONTAINS KEY",
            Operator::Like => "LIKE",
        })
    }
}

impl Display for BatchKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BatchKind::Logged => "LOGGED",
            BatchKind::Unlogged => "UNLOGGED",
            BatchKind::Counter => "COUNTER",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ast::*, parse_statement, parse_type};

    #[test]
    fn types_print_in_canonical_form() {
        for (text, printed) in [
            ("INT", "int"),
            ("Map<text,FROZEN<list<int>>>", "map<text, frozen<list<int>>>"),
            ("tuple<int,text , uuid>", "tuple<int, text, uuid>"),
            ("ks.\"T\"", "ks.T"),
        ] {
            assert_eq!(parse_type(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn terms_print_as_scylladb_prints_them() {
        let text = "INSERT INTO t (a) VALUES ([1, 'x', {2}, {1: ?}, {a: null}, (1, now()), 0x0a])";
        let Statement::Insert(Insert { source: InsertSource::Values { values, .. }, .. }) =
            parse_statement(text).unwrap().statement
        else {
            panic!("not an insert")
        };
        assert_eq!(values[0].to_string(), "[1, 'x', {2}, {1:?}, {a:null}, (1, now()), 0x0a]");
    }
}
