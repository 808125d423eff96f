package main

import (
	"fmt"
	"io"
	"slices"
)

// scores counts answers by kind of question, calls apart.
type scores struct {
	rows  []row
	wrong []miss
	// thought sums the tokens of reasoning, and asked the questions, by effort.
	thought, asked map[string]int
}

type row struct {
	call                bool
	kind                string
	asked, right, valid int
}

type miss struct {
	question
	answer
}

func (s *scores) add(q question, a answer) {
	i := slices.IndexFunc(s.rows, func(r row) bool { return r.kind == q.Kind && r.call == q.isCall() })
	if i < 0 {
		i = len(s.rows)
		s.rows = append(s.rows, row{call: q.isCall(), kind: q.Kind})
	}
	r := &s.rows[i]
	r.asked++
	if a.valid {
		r.valid++
	}
	if a.right(q.Want) {
		r.right++
	}
	if !a.valid || !a.right(q.Want) {
		s.wrong = append(s.wrong, miss{q, a})
	}
	if s.asked == nil {
		s.asked, s.thought = map[string]int{}, map[string]int{}
	}
	s.asked[q.Effort]++
	s.thought[q.Effort] += a.thought
}

func (s *scores) right() int {
	answers, calls := s.sum(false), s.sum(true)
	return answers.right + calls.right
}

func (s *scores) sum(call bool) row {
	total := row{call: call, kind: "all answers"}
	if call {
		total.kind = "all calls"
	}
	for _, r := range s.rows {
		if r.call == call {
			total.asked += r.asked
			total.right += r.right
			total.valid += r.valid
		}
	}
	return total
}

// reached reports whether the model meets its aims.
func (s *scores) reached() bool {
	answers, calls := s.sum(false), s.sum(true)
	enough := func(r row) bool { return r.right*100 >= aim*r.asked && r.valid == r.asked }
	return enough(answers) && enough(calls)
}

// print writes the table of the model card.
func (s *scores) print(w io.Writer) {
	fmt.Fprintln(w, "| questions | asked | right | share | valid Harmony |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- |")
	for _, call := range []bool{false, true} {
		for _, r := range append(slices.DeleteFunc(slices.Clone(s.rows), func(r row) bool { return r.call != call }), s.sum(call)) {
			if r.asked == 0 {
				continue
			}
			kind := r.kind
			if call && kind != "all calls" {
				kind = "calls: " + kind
			}
			fmt.Fprintf(w, "| %s | %d | %d | %.1f %% | %.1f %% |\n", kind, r.asked, r.right, share(r.right, r.asked), share(r.valid, r.asked))
		}
	}
	fmt.Fprintln(w)
	for _, effort := range []string{"low", "medium", "high"} {
		if n := s.asked[effort]; n > 0 {
			fmt.Fprintf(w, "Reasoning at %s effort: %.1f tokens on average over %d questions.\n", effort, float64(s.thought[effort])/float64(n), n)
		}
	}
}

func share(n, of int) float64 { return 100 * float64(n) / float64(of) }

func (s *scores) printWrong(w io.Writer) {
	for _, m := range s.wrong {
		fmt.Fprintf(w, "%s (%s effort): %q\n  want %q\n  got  %q %s%s\n  why  %q\n", m.Kind, m.Effort,
			m.Messages[len(m.Messages)-1].Content, m.Want.Answer+m.Want.Tool+m.Want.Arguments, m.content, m.tool, m.arguments, m.reasoning)
	}
}
