// Package options holds the flags of gptoss-server: the contract between the operator, which renders them with
// [Options.Args], and the server, which reads them with [Parse].
//
// Parse(o.Args()) gives o back for every valid o. Both sides, and the usage text, come from one table of flags, so a
// flag cannot exist for one of them alone. The package needs the standard library only, so that the operator can import it.
//
// The environment is not read here: the program adds OPENAI_API_KEY to APIKeys and GPTOSS_KERNEL to Kernel itself
// and calls [Options.Validate] again.
package options
