package openai

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeForms(t *testing.T) {
	const tools = `,"tools":[{"type":"function","function":{"name":"f","strict":true}},{"type":"function","function":{"name":"g"}}]`
	type got struct {
		Format  *Format
		Choice  ToolChoice
		Allowed []string
	}
	for name, tc := range map[string]struct {
		more string
		want got
	}{
		"nothing":     {``, got{Choice: ToolChoiceAuto}},
		"text":        {`,"response_format":{"type":"text"}`, got{Choice: ToolChoiceAuto}},
		"json_object": {`,"response_format":{"type":"json_object"}`, got{Format: &Format{Param: "response_format", Schema: []byte(`{"type":"object"}`)}, Choice: ToolChoiceAuto}},
		"json_object with a schema": {
			`,"response_format":{"type":"json_object","schema":{"type":"array"}}`, got{Format: &Format{Param: "response_format.schema", Schema: []byte(`{"type":"array"}`)}, Choice: ToolChoiceAuto},
		},
		"json_schema": {
			`,"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,"schema":{"z":1,"a":2}}}`,
			got{Format: &Format{Param: "response_format.json_schema.schema", Name: "n", Description: "d", Schema: []byte(`{"z":1,"a":2}`)}, Choice: ToolChoiceAuto},
		},
		"guided_json as a string": {`,"guided_json":"{\"a\":1}"`, got{Format: &Format{Param: "guided_json", Schema: []byte(`{"a":1}`)}, Choice: ToolChoiceAuto}},
		"guided_regex":            {`,"guided_regex":"a+"`, got{Format: &Format{Param: "guided_regex", Pattern: "a+"}, Choice: ToolChoiceAuto}},
		"structured_outputs":      {`,"structured_outputs":{"choice":["a","b"]}`, got{Format: &Format{Param: "structured_outputs.choice", Choices: []string{"a", "b"}}, Choice: ToolChoiceAuto}},
		"required":                {tools + `,"tool_choice":"required"`, got{Choice: ToolChoiceRequired}},
		"a function":              {tools + `,"tool_choice":{"type":"function","function":{"name":"g"}}`, got{Choice: ToolChoiceRequired, Allowed: []string{"g"}}},
		"allowed tools": {
			tools + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`, got{Choice: ToolChoiceAuto, Allowed: []string{"f"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := DecodeChatRequest([]byte(body(tc.more)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got{r.Format, r.ToolChoice, r.AllowedTools}); diff != "" {
				t.Errorf("(-want,+got):\n%s", diff)
			}
		})
	}
}
