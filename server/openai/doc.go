// Package openai holds the wire types of the OpenAI API as this product serves it, and reads requests into them.
//
// Requests are decoded by hand from raw JSON values rather than by struct tags: names match exactly, null means absent,
// every error names the parameter by its path (messages[2].content), and a parameter that would change the answer but is
// not served is refused instead of ignored. Unknown fields are allowed.
//
// Accepted without effect, because the answer is as good without them: user, metadata, store, service_tier, verbosity,
// prompt_cache_key, prompt_cache_retention, prompt_cache_options, safety_identifier, moderation, prediction and
// parallel_tool_calls (gpt-oss makes one call a turn). unsupported.go lists what is refused.
package openai
