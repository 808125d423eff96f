package sched_test

import (
	"fmt"

	"github.com/gptoss/gptoss-operator/engine/sched"
)

// One loop, a model that counts upwards, and a token 13 that ends an answer.
func Example() {
	s, err := sched.New(sched.Config{
		PageTokens: 4, FullPages: 8, WindowPages: 8, Window: 4,
		MaxSequences: 2, BatchSize: 2, MaxBatchTokens: 16, PrefixCache: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := s.Add(sched.Request{Prompt: []int32{7, 8, 9, 10, 11}, MaxTokens: 20}); err != nil {
		fmt.Println(err)
		return
	}
	for {
		step := s.Next(0, 0)
		if len(step.Rows) == 0 {
			break
		}
		for i := range step.Rows {
			row := &step.Rows[i]
			fmt.Println("run", row.Tokens, "at", row.Position, "with pages", row.Full, row.Window)
			if row.Sample {
				row.Token = row.Tokens[len(row.Tokens)-1] + 1
				if row.Token == 13 {
					s.Remove(row.ID)
				}
			}
		}
		s.Done()
	}
	// Output:
	// run [7 8 9 10 11] at 0 with pages [0 1] [0 1]
	// run [12] at 5 with pages [0 1] [0 1]
}
