//! CREATE, ALTER and DROP of keyspaces, tables and types.

use crate::error::CqlError;

use super::ast::{
    ColumnDefinition, CreateKeyspace, CreateTable, Ident, OptionValue, Statement, TableChange,
    TableName, Truncate, TypeChange, TypeName,
};
use super::cursor::Cursor;
use super::lexer::TokenKind;

/// What `WITH` of CREATE TABLE says.
#[derive(Default)]
struct TableProperties {
    clustering_order: Vec<(Ident, bool)>,
    compact_storage: bool,
    options: Vec<(Ident, OptionValue)>,
}

impl Cursor<'_> {
    /// `CREATE …`.
    pub(super) fn create(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("create")?;
        if self.accept_word("keyspace") || self.accept_word("schema") {
            return self.create_keyspace();
        }
        if self.accept_word("table") || self.accept_word("columnfamily") {
            return self.create_table();
        }
        if self.accept_word("type") {
            return self.create_type();
        }
        self.refuse_kind("CREATE")
    }

    /// What ScyllaDB can create, alter or drop and devdb cannot.
    fn refuse_kind(&mut self, verb: &str) -> Result<Statement, CqlError> {
        let words: &[(&[&str], &str)] = &[
            (&["index"], "INDEX"),
            (&["custom", "index"], "CUSTOM INDEX"),
            (&["materialized", "view"], "MATERIALIZED VIEW"),
            (&["function"], "FUNCTION"),
            (&["or", "replace", "function"], "FUNCTION"),
            (&["aggregate"], "AGGREGATE"),
            (&["or", "replace", "aggregate"], "AGGREGATE"),
            (&["role"], "ROLE"),
            (&["user"], "USER"),
            (&["service_level"], "SERVICE LEVEL"),
            (&["service", "level"], "SERVICE LEVEL"),
        ];
        match words.iter().find(|(words, _)| self.accept_words(words)) {
            Some((_, kind)) => Err(CqlError::unsupported(format_args!("{verb} {kind}"))),
            None => Err(self.no_viable_alternative()),
        }
    }

    fn if_not_exists(&mut self) -> Result<bool, CqlError> {
        if !self.accept_word("if") {
            return Ok(false);
        }
        self.expect_word("not")?;
        self.expect_word("exists")?;
        Ok(true)
    }

    fn if_exists(&mut self) -> Result<bool, CqlError> {
        if !self.accept_word("if") {
            return Ok(false);
        }
        self.expect_word("exists")?;
        Ok(true)
    }

    fn create_keyspace(&mut self) -> Result<Statement, CqlError> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.identifier()?;
        let options = if self.accept_word("with") { self.options()? } else { Vec::new() };
        Ok(Statement::CreateKeyspace(CreateKeyspace { name, if_not_exists, options }))
    }

    fn create_table(&mut self) -> Result<Statement, CqlError> {
        let if_not_exists = self.if_not_exists()?;
        let table = self.table_name()?;
        self.expect_sign("(")?;
        let mut columns = Vec::new();
        let mut primary_keys = Vec::new();
        self.table_element(&mut columns, &mut primary_keys)?;
        while self.accept_sign(",") {
            // A comma may end the list.
            if self.is_identifier() || self.is_word("primary") {
                self.table_element(&mut columns, &mut primary_keys)?;
            } else if !self.is_sign(")") {
                // ScyllaDB's text, in which the name of what is missing is cut off.
                return Err(self.error("missing ')' at '<missing '"));
            }
        }
        self.expect_sign(")")?;
        let mut properties = TableProperties::default();
        if self.accept_word("with") {
            self.table_property(&mut properties)?;
            while self.accept_word("and") {
                self.table_property(&mut properties)?;
            }
        }
        let TableProperties { clustering_order, compact_storage, options } = properties;
        Ok(Statement::CreateTable(CreateTable {
            table,
            if_not_exists,
            columns,
            primary_keys,
            clustering_order,
            compact_storage,
            options,
        }))
    }

    fn table_element(
        &mut self,
        columns: &mut Vec<ColumnDefinition>,
        primary_keys: &mut Vec<(Vec<Ident>, Vec<Ident>)>,
    ) -> Result<(), CqlError> {
        if self.accept_words(&["primary", "key"]) {
            self.expect_sign("(")?;
            let partition = if self.is_sign("(") {
                self.parenthesized_identifiers()?
            } else {
                vec![self.identifier()?]
            };
            let clustering = if self.accept_sign(",") { self.identifiers()? } else { Vec::new() };
            self.expect_sign(")")?;
            primary_keys.push((partition, clustering));
            return Ok(());
        }
        let mut column = self.column_definition()?;
        column.primary_key = self.accept_words(&["primary", "key"]);
        columns.push(column);
        Ok(())
    }

    /// `name type [STATIC]`.
    fn column_definition(&mut self) -> Result<ColumnDefinition, CqlError> {
        let name = self.identifier()?;
        let type_name = self.type_name()?;
        let is_static = self.accept_word("static");
        Ok(ColumnDefinition { name, type_name, is_static, primary_key: false })
    }

    fn table_property(&mut self, properties: &mut TableProperties) -> Result<(), CqlError> {
        if self.accept_words(&["compact", "storage"]) {
            properties.compact_storage = true;
            return Ok(());
        }
        if self.accept_words(&["clustering", "order", "by"]) {
            self.expect_sign("(")?;
            loop {
                let column = self.identifier()?;
                let descending = self.accept_word("desc");
                if !descending && !self.accept_word("asc") {
                    return Err(self.no_viable_alternative());
                }
                properties.clustering_order.push((column, descending));
                if !self.accept_sign(",") {
                    return self.expect_sign(")");
                }
            }
        }
        properties.options.push(self.option()?);
        Ok(())
    }

    /// `[keyspace.]name` of a user-defined type.
    fn user_type_name(&mut self) -> Result<TableName, CqlError> {
        match self.named_type()? {
            TypeName::Named { keyspace, name } => Ok(TableName { keyspace, name }),
            TypeName::Generic { .. } | TypeName::Frozen(_) => Err(self.no_viable_alternative()),
        }
    }

    fn create_type(&mut self) -> Result<Statement, CqlError> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.user_type_name()?;
        self.expect_sign("(")?;
        let mut fields = vec![(self.identifier()?, self.type_name()?)];
        while self.accept_sign(",") {
            if self.is_identifier() {
                fields.push((self.identifier()?, self.type_name()?));
            }
        }
        self.expect_sign(")")?;
        Ok(Statement::CreateType { name, if_not_exists, fields })
    }

    /// `ALTER …`.
    pub(super) fn alter(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("alter")?;
        if self.accept_word("keyspace") || self.accept_word("schema") {
            let name = self.identifier()?;
            self.expect_word("with")?;
            return Ok(Statement::AlterKeyspace { name, options: self.options()? });
        }
        if self.accept_word("table") || self.accept_word("columnfamily") {
            let table = self.table_name()?;
            return Ok(Statement::AlterTable { table, change: self.table_change()? });
        }
        if self.accept_word("type") {
            let name = self.user_type_name()?;
            return Ok(Statement::AlterType { name, change: self.type_change()? });
        }
        self.refuse_kind("ALTER")
    }

    fn table_change(&mut self) -> Result<TableChange, CqlError> {
        if self.accept_word("add") {
            return self.added_columns();
        }
        if self.accept_word("drop") {
            let columns = if self.is_sign("(") {
                self.parenthesized_identifiers()?
            } else {
                vec![self.identifier()?]
            };
            let timestamp = if self.accept_word("using") {
                self.expect_word("timestamp")?;
                Some(self.integer_term()?)
            } else {
                None
            };
            return Ok(TableChange::Drop { columns, timestamp });
        }
        if self.accept_word("rename") {
            return Ok(TableChange::Rename(self.renames()?));
        }
        if self.accept_word("alter") {
            let column = self.identifier()?;
            self.expect_word("type")?;
            return Ok(TableChange::AlterType { column, type_name: self.type_name()? });
        }
        if self.accept_word("with") {
            return Ok(TableChange::Options(self.options()?));
        }
        Err(self.no_viable_alternative())
    }

    fn added_columns(&mut self) -> Result<TableChange, CqlError> {
        if !self.accept_sign("(") {
            return Ok(TableChange::Add(vec![self.column_definition()?]));
        }
        let mut columns = vec![self.column_definition()?];
        while self.accept_sign(",") {
            columns.push(self.column_definition()?);
        }
        self.expect_sign(")")?;
        Ok(TableChange::Add(columns))
    }

    /// `a TO b AND …`.
    fn renames(&mut self) -> Result<Vec<(Ident, Ident)>, CqlError> {
        let mut renames = Vec::new();
        loop {
            let from = self.identifier()?;
            self.expect_word("to")?;
            renames.push((from, self.identifier()?));
            if !self.accept_word("and") {
                return Ok(renames);
            }
        }
    }

    fn type_change(&mut self) -> Result<TypeChange, CqlError> {
        if self.accept_word("add") {
            let field = self.identifier()?;
            return Ok(TypeChange::Add(field, self.type_name()?));
        }
        if self.accept_word("rename") {
            return Ok(TypeChange::Rename(self.renames()?));
        }
        if self.accept_word("alter") {
            return Err(CqlError::unsupported("ALTER TYPE … ALTER"));
        }
        Err(self.no_viable_alternative())
    }

    /// `DROP …`.
    pub(super) fn drop_statement(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("drop")?;
        if self.accept_word("keyspace") || self.accept_word("schema") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropKeyspace { name: self.identifier()?, if_exists });
        }
        if self.accept_word("table") || self.accept_word("columnfamily") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropTable { table: self.table_name()?, if_exists });
        }
        if self.accept_word("type") {
            let if_exists = self.if_exists()?;
            return Ok(Statement::DropType { name: self.user_type_name()?, if_exists });
        }
        self.refuse_kind("DROP")
    }

    /// `TRUNCATE [TABLE] t [USING TIMEOUT …]`.
    pub(super) fn truncate(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("truncate")?;
        if !self.accept_word("table") {
            self.accept_word("columnfamily");
        }
        let table = self.table_name()?;
        let using = self.using(&["timeout"])?;
        Ok(Statement::Truncate(Truncate { table, using }))
    }

    /// `USE keyspace`.
    pub(super) fn use_keyspace(&mut self) -> Result<Statement, CqlError> {
        self.expect_word("use")?;
        if matches!(self.peek(), TokenKind::Sign("?")) {
            return Err(self.error("Bind variables cannot be used for keyspace names"));
        }
        Ok(Statement::Use(self.identifier()?))
    }
}
