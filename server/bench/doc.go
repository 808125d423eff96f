// Package bench is the command that measures a model on the machine that it runs on: how fast prompts are read and tokens
// come, alone, together and beside each other, what the machine's memory and arithmetic would allow, and how much of that is
// reached. [Run] is the command, flags, progress and exit status included; [Report] is what it writes with --output=json.
//
// It feeds token ids drawn at random, so it needs no tokenizer, and random weights serve as well as trained ones.
package bench
