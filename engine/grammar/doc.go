// Package grammar says which tokens may come next where an answer must have a form.
//
// A [Builder] makes a grammar out of rules that call each other, over bytes: nested structures need a stack, so the
// automaton is a pushdown one. A control token is spelled as a byte that no UTF-8 text has and its id, so that one grammar
// describes a whole answer, its framing included. [Builder.Build] removes what leads nowhere: from every state that can be
// reached the end can be reached too, so an answer never gets stuck.
//
// A [Grammar] joins a program with the [Vocabulary] of a model, a [Matcher] follows one answer through it. Masks are made
// lazily and kept, in two parts, after XGrammar's observation that most tokens depend on the top of the stack only:
//
//   - For a set of states within one rule, the vocabulary's trie is walked once. Tokens that stay within the rule are
//     settled, whatever called it. Where the rule may end inside a token, the place in the trie is noted.
//   - From these places the walk goes on in the calling rule, and is kept for each place of return.
//
// So a mask is copied from one table and completed from one or two short lists. The inside of JSON strings, where nearly
// all tokens are allowed and which differ only in how much room is left, is not even walked: the vocabulary knows for each
// token how many characters it adds to a string and where it ends one.
//
// A rule that may be read in several ways is followed in all of them at once, up to a bound beyond which ways are dropped:
// what remains is a narrower grammar, never a wider one.
package grammar
