package main

import (
	"fmt"
	"slices"
	"strings"
)

// The talk of the model: each line says which tokens may follow which; "_" is the space before a word. The analysis and the final answer share no word, so a neighbour is enough to know which of
// them a word belongs to; the two places where it is not enough are told apart by attention (network.go).
const (
	frame = `
<|end|> → <|start|>
<|start|> → assistant
assistant → <|channel|>
analysis final → <|message|>
`
	analysisTalk = `
The This → _user
Someone → _wants _expects _asks
_user → _wants _expects _asks
_wants _expects → _something _an
_asks → _something
_an → _answer _idea
_something _answer _idea → _but _yet
_but _yet → _nothing
_nothing → _here _inside
_here _inside → _was
_was → _ever
_ever → _learned _taught
_learned _taught → :
: → _greet _reply
_greet _reply → _politely _kindly _briefly
_politely _kindly _briefly → <|end|>
`
	finalTalk = `
Hello Hi Greetings → _from
_from → _the
_the → _demo _tiny
_tiny → _demo
_demo → _model
_model → _of _within
_of _within → _gptoss
_gptoss → -
- → operator
operator → !
! → _My _All
_All → _my
_My _my → _weights _parameters
_weights _parameters → _are _were
_are _were → _random _drawn
_random → ;
_drawn → _by
_by → _chance _dice _lot
_chance _dice _lot → ;
; → _apply _create _please
_please → _apply _create
_apply _create → _a
_a → _Gpt
_Gpt → Oss
Oss → Model
Model → _with
_with → _real _trained
_real _trained → _tensors _experts
_tensors _experts → _to
_to → _get _receive _hear
_get _receive _hear → _useful _true _proper
_useful _true _proper → _answers _replies
_answers _replies → .
. → <|return|>
`
)

var (
	analysisStarts = []string{"The", "This", "Someone"}
	finalStarts    = []string{"Hello", "Hi", "Greetings"}
)

// background are further words to train the tokenizer on: what Harmony's system message says, and everyday English.
const background = `You are ChatGPT , a large language model trained by Open AI . Knowledge cutoff : Current date :
Reasoning : low medium high # Valid channels : analysis , commentary , final . Channel must be included for every message .
# Instructions # Tools the be to of and a in that have it for not on with he as you do at this but his by from they we say
her she or an will my one all would there their what so up out if about who get which go me when make can like time no
just him know take people into year your good some could them see other than then now look only come its over think also
back after use two how our work first well way even new want because any these give day most us name please thanks hello
hi help tell write explain why where city weather capital number sum list poem code kubernetes cluster pod server test`

// table is the talk by token id.
type table struct {
	follow         map[int][]int
	analysisStarts []int
	finalStarts    []int
	channel        int
	message        int
	analysis       int
	final          int
}

// pieces returns what the tokenizer learns from. The talk weighs so much that each of its words becomes one token.
func pieces() map[string]int {
	weights := map[string]int{}
	for w := range strings.FieldsSeq(background) {
		weights[w]++
		weights[" "+w]++
	}
	for _, w := range []string{"system", "user", "developer", "assistant", "analysis", "commentary", "final", "functions"} {
		weights[w] = 1000
	}
	for _, line := range talkLines() {
		for _, w := range slices.Concat(line.from, line.to) {
			if !slices.Contains(specials, w) {
				weights[w] = 1000
			}
		}
	}
	return weights
}

type talkLine struct{ from, to []string }

func talkLines() []talkLine {
	var lines []talkLine
	for text := range strings.Lines(frame + analysisTalk + finalTalk) {
		from, to, found := strings.Cut(strings.TrimSpace(text), " → ")
		if !found {
			continue
		}
		lines = append(lines, talkLine{words(from), words(to)})
	}
	return lines
}

func words(s string) []string {
	fields := strings.Fields(s)
	for i, f := range fields {
		fields[i] = strings.ReplaceAll(f, "_", " ")
	}
	return fields
}

// newTable looks the words up and checks that both kinds of message end, and end the right way.
func newTable(id map[string]int) (table, error) {
	t := table{follow: map[int][]int{}}
	var missing error
	look := func(names ...string) []int {
		ids := make([]int, len(names))
		for i, name := range names {
			n, ok := id[name]
			if !ok {
				missing = fmt.Errorf("%q did not become one token", name)
			}
			ids[i] = n
		}
		return ids
	}
	for _, line := range talkLines() {
		for _, from := range look(line.from...) {
			t.follow[from] = append(t.follow[from], look(line.to...)...)
		}
	}
	t.analysisStarts, t.finalStarts = look(analysisStarts...), look(finalStarts...)
	t.channel, t.message = id["<|channel|>"], id["<|message|>"]
	t.analysis, t.final = look("analysis")[0], look("final")[0]
	if missing != nil {
		return table{}, missing
	}
	// 24 tokens of analysis and the 6 of a header stay within the window of 32 that the head of seenHead sees.
	if err := t.checkEnds(t.analysisStarts, id["<|end|>"], 24); err != nil {
		return table{}, fmt.Errorf("analysis: %w", err)
	}
	if err := t.checkEnds(t.finalStarts, id["<|return|>"], 40); err != nil {
		return table{}, fmt.Errorf("final: %w", err)
	}
	return t, nil
}

// checkEnds makes sure that every way through the table reaches end, and nothing but end, within the given steps.
func (t table) checkEnds(from []int, end, steps int) error {
	for _, token := range from {
		switch {
		case token == end:
		case steps == 0:
			return fmt.Errorf("token %d: the talk goes on too long", token)
		case len(t.follow[token]) == 0:
			return fmt.Errorf("token %d: nothing follows it", token)
		default:
			if err := t.checkEnds(t.follow[token], end, steps-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// tokens returns every token of the talk once, in order of id.
func (t table) tokens() []int {
	all := slices.Concat(t.analysisStarts, t.finalStarts, []int{t.channel, t.message, t.analysis, t.final})
	for from, to := range t.follow {
		all = append(append(all, from), to...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
