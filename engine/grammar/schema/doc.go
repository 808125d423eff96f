// Package schema compiles JSON Schema to rules of a grammar: what the rules read is JSON that validates.
//
// It knows draft 2020-12 as far as OpenAI's strict mode, Pydantic and Zod use it: $ref and $defs with recursion, allOf,
// anyOf, oneOf where its alternatives exclude each other, enum, const, lists of types, nullable; properties,
// patternProperties, additionalProperties, propertyNames, required; prefixItems, items, minItems, maxItems; lengths,
// patterns and formats of strings; bounds and multipleOf of numbers. Annotations are passed over. Everything else is
// refused by name and place, never ignored.
//
// A schema says what is allowed, a grammar what is written, and of two ways to write the same the grammar has one:
//
//   - Properties come in the order of their declaration, those that are not required may be left out, and those that are
//     not declared follow the others.
//   - Properties that are not declared are written only where additionalProperties or patternProperties says so, or where
//     nothing is declared at all. The same holds for items behind prefixItems.
//   - A schema without a type has the types that its keywords speak of; one that is empty allows everything.
//   - Values of enum and const are written compactly. Texts with a pattern or format use no escapes but those they need.
//   - Integers have up to 18 digits. Numbers with bounds have up to 15 and no exponent.
//   - White space is a space after a comma or colon, or around the inside of brackets a space or one line feed with up to
//     32 spaces and tabs. So a model that likes to lay out its JSON may, but not for ever.
//
// The size of a schema, its nesting and the states it takes are bounded: schemas come from strangers.
package schema
