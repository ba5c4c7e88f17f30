//! SELECT, and the WHERE clauses that other statements share with it.

use crate::error::CqlError;

use super::ast::{
    InValues, Literal, Operator, Relation, Select, SelectExpression, Selector, Statement,
    TableName, Term, Using,
};
use super::cursor::Cursor;
use super::lexer::TokenKind;

impl Cursor<'_> {
    /// `SELECT …`.
    pub(super) fn select(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("select")?;
        let json = self.accept_modifier("json");
        let distinct = self.accept_modifier("distinct");
        let selectors = self.selectors()?;
        self.expect_word("from")?;
        let table = self.table_name()?;
        let relations = if self.accept_word("where") { self.relations()? } else { Vec::new() };
        let group_by =
            if self.accept_words(&["group", "by"]) { self.identifiers()? } else { Vec::new() };
        let order_by =
            if self.accept_words(&["order", "by"]) { self.orderings()? } else { Vec::new() };
        let per_partition_limit = if self.accept_words(&["per", "partition", "limit"]) {
            Some(self.integer_term()?)
        } else {
            None
        };
        let limit = if self.accept_word("limit") { Some(self.integer_term()?) } else { None };
        let allow_filtering = self.accept_words(&["allow", "filtering"]);
        let bypass_cache = self.accept_words(&["bypass", "cache"]);
        let mut using = Using::default();
        if self.accept_words(&["using", "timeout"]) {
            using.timeout = Some(self.term()?);
        }
        Ok(Statement::Select(Select {
            json,
            distinct,
            selectors,
            table,
            relations,
            group_by,
            order_by,
            per_partition_limit,
            limit,
            allow_filtering,
            bypass_cache,
            using,
        }))
    }

    /// `JSON` or `DISTINCT`, unless it is the name of a column here.
    fn accept_modifier(&mut self, word: &str) -> bool {
        let is_selector = match self.peek_at(1) {
            TokenKind::Word(next) => next == "from" || next == "as",
            TokenKind::Sign(sign) => *sign != "*",
            TokenKind::End => true,
            _ => false,
        };
        !is_selector && self.accept_word(word)
    }

    /// `*` (no selector) or a list.
    fn selectors(&mut self) -> Result<Vec<Selector>, CqlError> {
        if self.accept_sign("*") {
            return Ok(Vec::new());
        }
        let mut selectors = Vec::new();
        loop {
            let expression = self.selection()?;
            let alias = if self.accept_word("as") { Some(self.identifier()?) } else { None };
            selectors.push(Selector { expression, alias });
            if !self.accept_sign(",") {
                return Ok(selectors);
            }
        }
    }

    fn selection(&mut self) -> Result<SelectExpression, CqlError> {
        self.nested(|cursor| {
            let mut expression = cursor.selection_base()?;
            loop {
                if cursor.accept_sign(".") {
                    let field = cursor.identifier()?;
                    expression = SelectExpression::Field { base: Box::new(expression), field };
                } else if cursor.accept_sign("[") {
                    let key = cursor.term()?;
                    cursor.expect_sign("]")?;
                    expression = SelectExpression::Element { base: Box::new(expression), key };
                } else {
                    return Ok(expression);
                }
            }
        })
    }

    fn selection_base(&mut self) -> Result<SelectExpression, CqlError> {
        if self.accept_word("cast") {
            self.expect_sign("(")?;
            let expression = Box::new(self.selection()?);
            self.expect_word("as")?;
            let type_name = self.type_name()?;
            self.expect_sign(")")?;
            return Ok(SelectExpression::Cast { expression, type_name });
        }
        if !self.is_function_call() {
            return Ok(SelectExpression::Column(self.identifier()?));
        }
        match self.peek() {
            TokenKind::Word(word) if word == "count" && self.is_count_of_rows() => {
                (0..4).for_each(|_| self.advance());
                return Ok(SelectExpression::CountRows);
            }
            TokenKind::Word(word) if word == "writetime" || word == "ttl" => {
                let is_ttl = word == "ttl";
                self.advance();
                self.expect_sign("(")?;
                let column = self.identifier()?;
                self.expect_sign(")")?;
                return Ok(if is_ttl {
                    SelectExpression::Ttl(column)
                } else {
                    SelectExpression::WriteTime(column)
                });
            }
            _ => {}
        }
        let name = self.function_name()?;
        Ok(SelectExpression::Function { name, arguments: self.selection_arguments()? })
    }

    /// `count(*)` and `count(1)`.
    fn is_count_of_rows(&self) -> bool {
        let counted = match self.peek_at(2) {
            TokenKind::Sign("*") => true,
            TokenKind::Integer(text) => text == "1",
            _ => false,
        };
        counted && self.is_sign_at(3, ")")
    }

    fn selection_arguments(&mut self) -> Result<Vec<SelectExpression>, CqlError> {
        // In a selection, functions take columns and functions: ScyllaDB 5.1 has no rule
        // for constants there, which it finds out at the parenthesis.
        let begins_argument = match self.peek_at(1) {
            TokenKind::Word(word) => word == "cast" || word == "token" || self.is_identifier_at(1),
            TokenKind::QuotedName(_) => true,
            TokenKind::Sign(sign) => *sign == ")",
            _ => false,
        };
        if !begins_argument {
            return Err(self.no_viable_alternative());
        }
        self.expect_sign("(")?;
        let mut arguments = Vec::new();
        if self.accept_sign(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.selection()?);
            if !self.accept_sign(",") {
                self.expect_sign(")")?;
                return Ok(arguments);
            }
        }
    }

    /// `column [ASC | DESC], …`.
    fn orderings(&mut self) -> Result<Vec<(String, bool)>, CqlError> {
        let mut orderings = Vec::new();
        loop {
            let column = self.identifier()?;
            let descending = self.accept_word("desc");
            if !descending {
                self.accept_word("asc");
            }
            orderings.push((column, descending));
            if !self.accept_sign(",") {
                return Ok(orderings);
            }
        }
    }

    /// `[keyspace.]name`.
    pub(super) fn table_name(&mut self) -> Result<TableName, CqlError> {
        if self.is_sign("?") {
            return Err(self.error("Bind variables cannot be used for table names"));
        }
        let first = self.identifier()?;
        if self.accept_sign(".") {
            return Ok(TableName { keyspace: Some(first), name: self.identifier()? });
        }
        Ok(TableName { keyspace: None, name: first })
    }

    /// The relations of a WHERE clause.
    pub(super) fn relations(&mut self) -> Result<Vec<Relation>, CqlError> {
        let mut relations = vec![self.relation()?];
        while self.accept_word("and") {
            relations.push(self.relation()?);
        }
        Ok(relations)
    }

    fn relation(&mut self) -> Result<Relation, CqlError> {
        self.nested(|cursor| {
            if cursor.is_word("token") {
                return cursor.token_relation();
            }
            if cursor.is_sign("(") {
                return cursor.parenthesized_relation();
            }
            cursor.column_relation()
        })
    }

    fn token_relation(&mut self) -> Result<Relation, CqlError> {
        self.expect_word("token")?;
        let columns = self.parenthesized_identifiers()?;
        let operator = self.operator()?;
        Ok(Relation::Token { columns, operator, value: self.term()? })
    }

    pub(super) fn parenthesized_identifiers(&mut self) -> Result<Vec<String>, CqlError> {
        self.expect_sign("(")?;
        let names = self.identifiers()?;
        self.expect_sign(")")?;
        Ok(names)
    }

    /// `(c, d) <op> …`, or a relation in parentheses.
    fn parenthesized_relation(&mut self) -> Result<Relation, CqlError> {
        let is_tuple =
            self.is_identifier_at(1) && (self.is_sign_at(2, ",") || self.is_sign_at(2, ")"));
        if !is_tuple {
            self.expect_sign("(")?;
            let relation = self.relation()?;
            self.expect_sign(")")?;
            return Ok(relation);
        }
        let columns = self.parenthesized_identifiers()?;
        if self.accept_word("in") {
            return Ok(Relation::TupleIn { columns, values: self.tuples_in()? });
        }
        let operator = self.operator()?;
        if self.is_word("scylla_clustering_bound") {
            return Err(CqlError::unsupported("SCYLLA_CLUSTERING_BOUND"));
        }
        let value =
            if self.is_marker() { Term::Bind(self.marker()?) } else { Term::Tuple(self.tuple()?) };
        Ok(Relation::Tuple { columns, operator, value })
    }

    /// `()`, `?`, `((1, 2), (3, 4))` or `(?, ?)`.
    fn tuples_in(&mut self) -> Result<InValues, CqlError> {
        if self.is_marker() {
            return Ok(InValues::Bind(self.marker()?));
        }
        self.expect_sign("(")?;
        let mut terms = Vec::new();
        if self.accept_sign(")") {
            return Ok(InValues::Terms(terms));
        }
        loop {
            terms.push(if self.is_marker() {
                Term::Bind(self.marker()?)
            } else {
                Term::Tuple(self.tuple()?)
            });
            if !self.accept_sign(",") {
                self.expect_sign(")")?;
                return Ok(InValues::Terms(terms));
            }
        }
    }

    fn column_relation(&mut self) -> Result<Relation, CqlError> {
        let column = self.identifier()?;
        if self.accept_word("is") {
            self.expect_word("not")?;
            self.expect_word("null")?;
            return Ok(Relation::ColumnNotNull { column });
        }
        if self.accept_word("in") {
            return Ok(Relation::ColumnIn { column, values: self.in_values()? });
        }
        if self.accept_word("contains") {
            let operator =
                if self.accept_word("key") { Operator::ContainsKey } else { Operator::Contains };
            return Ok(Relation::Column { column, operator, value: self.term()? });
        }
        if self.accept_sign("[") {
            let key = self.term()?;
            self.expect_sign("]")?;
            let operator = self.operator()?;
            return Ok(Relation::Element { column, key, operator, value: self.term()? });
        }
        let operator = self.operator()?;
        Ok(Relation::Column { column, operator, value: self.term()? })
    }

    /// `=`, `<`, …, `LIKE`.
    pub(super) fn operator(&mut self) -> Result<Operator, CqlError> {
        let operator = match self.peek() {
            TokenKind::Sign("=") => Operator::Eq,
            TokenKind::Sign("!=") => Operator::Ne,
            TokenKind::Sign("<") => Operator::Lt,
            TokenKind::Sign("<=") => Operator::Le,
            TokenKind::Sign(">") => Operator::Gt,
            TokenKind::Sign(">=") => Operator::Ge,
            TokenKind::Word(word) if word == "like" => Operator::Like,
            _ => return Err(self.no_viable_alternative()),
        };
        self.advance();
        Ok(operator)
    }

    /// `'…'` or a marker: what JSON takes.
    pub(super) fn json_document(&mut self) -> Result<Term, CqlError> {
        if self.is_marker() {
            return Ok(Term::Bind(self.marker()?));
        }
        if let TokenKind::String(text) = self.peek() {
            let literal = Literal::String(text.clone());
            self.advance();
            return Ok(Term::Literal(literal));
        }
        Err(self.no_viable_alternative())
    }
}
