// Package plugin is kubectl-gptoss, the hand tool: `kubectl gptoss SUBCOMMAND`. Each sub-command is a file here, which reads
// flags, asks the packages below and writes what they say; docs/kubectl-gptoss.md shows them.
//
// [diagnosis] turns a snapshot of objects into a sentence, [cluster] reads that snapshot and reaches into pods, [talk] speaks
// the OpenAI API, [keyfile] changes keys, [bundle] leaves secrets out of what is shared, [screen] writes.
//
// [diagnosis]: github.com/gptoss/gptoss-operator/plugin/diagnosis
// [cluster]: github.com/gptoss/gptoss-operator/plugin/cluster
// [talk]: github.com/gptoss/gptoss-operator/plugin/talk
// [keyfile]: github.com/gptoss/gptoss-operator/plugin/keyfile
// [bundle]: github.com/gptoss/gptoss-operator/plugin/bundle
// [screen]: github.com/gptoss/gptoss-operator/plugin/screen
package plugin
