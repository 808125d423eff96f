// Package structure makes the model's answer have the form that a request asks for.
//
// It writes a whole turn of Harmony as one grammar: headers, channels, terminators, and between them free text or what a
// schema allows. So the model thinks as it likes, and cannot leave the form where it matters:
//
//   - A response format holds for the content of the final channel. The turn has nothing beside it that becomes content:
//     reasoning, then a call if tools are offered, or the final message, which nothing but its end may follow.
//   - tool_choice required, or a named function, leaves reasoning and then a call of one of these functions whose arguments
//     satisfy its schema. A schema that the grammar does not support is an error if the function is strict; else any JSON
//     object will do, as OpenAI promises no more.
//   - Strict functions have their arguments held to their schemas wherever they are called, other functions have not. The
//     model calls no function that is not offered.
//   - tool_choice none leaves no calls.
//
// Headers are held to the forms that the model was trained with, so the parser reads each without guessing. A turn has at
// most one call, as Harmony has it; parallel_tool_calls changes nothing.
//
// Reasoning counts towards max_tokens. Where a form is asked for, an answer that is cut off in the middle of reasoning is
// of no use to anybody. So there is one analysis message before it, and a quarter of the tokens, at most 4,096, is kept for
// what follows: past that the analysis is ended. What is cut off later is incomplete, and says so with the finish reason length.
package structure
