package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/gptoss/gptoss-operator/engine/grammar/schema/schematest"
	"github.com/gptoss/gptoss-operator/server/openai"
)

// TestGenerationsValidate has the demo model answer in forms that were made at random, at temperature 1. What max_tokens
// cuts off says so with its finish reason and is no JSON; everything else validates.
func TestGenerationsValidate(t *testing.T) {
	schemas, answers := 220, 6
	if testing.Short() || raceDetector {
		schemas = 4
	}
	f := withDemo(t)
	whole, cut, fruitful := 0, 0, 0
	for seed := range schemas {
		raw := schematest.Random(rand.New(rand.NewPCG(uint64(seed), 11)))
		r := f.chat(t, ask(fmt.Sprintf(`,"temperature":1,"top_p":1,"seed":%d,"n":%d,"max_tokens":1024,"response_format":{"type":"json_schema","json_schema":{"name":"made-up","strict":true,"schema":%s}}`,
			seed, answers, raw)))
		if r.status != http.StatusOK {
			t.Fatalf("status %d: %s for %s", r.status, r.body, raw)
		}
		validator, before := schematest.Compile(t, raw), whole
		for _, c := range decode[openai.ChatCompletion](t, r.body).Choices {
			switch {
			case c.FinishReason == openai.FinishLength:
				cut++
			case c.FinishReason != openai.FinishStop || c.Message.Content == nil:
				t.Errorf("finish reason %s, content %v for %s", c.FinishReason, c.Message.Content, raw)
			case !schematest.Validates(validator, *c.Message.Content):
				t.Errorf("%s does not satisfy %s", *c.Message.Content, raw)
			default:
				whole++
			}
		}
		if whole > before {
			fruitful++
		}
	}
	t.Logf("%d answers for %d schemas validate, %d were cut off", whole, fruitful, cut)
	if whole < schemas*50/11 || fruitful < schemas*10/11 { // of all 220: 1,000 for 200
		t.Errorf("%d whole answers for %d of %d schemas", whole, fruitful, schemas)
	}
}
