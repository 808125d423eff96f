package client

import (
	"errors"
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	sdk "github.com/openai/openai-go/v3/responses"

	"github.com/gptoss/gptoss-operator/server/responses"
)

// connect makes OpenAI's own client for Go.
func connect(url string) openai.Client {
	return openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey("k"), option.WithMaxRetries(0))
}

func TestClientReadsStreams(t *testing.T) {
	thinks := responses.Piece{}
	thinks.Reasoning = "Hm."
	url, _ := serve(t, model{thinks, content("Hel"), content("lo!"), call("call_0", "f", "{"), call("", "", "}")})
	c := connect(url)
	stream := c.Responses.NewStreaming(t.Context(), sdk.ResponseNewParams{
		Model: "gpt-oss-demo", Input: sdk.ResponseNewParamsInputUnion{OfString: openai.String("hi")},
	})
	var text, thought, arguments string
	var last sdk.Response
	for stream.Next() {
		switch e := stream.Current().AsAny().(type) {
		case sdk.ResponseTextDeltaEvent:
			text += e.Delta
		case sdk.ResponseReasoningTextDeltaEvent:
			thought += e.Delta
		case sdk.ResponseFunctionCallArgumentsDoneEvent:
			arguments = e.Arguments
		case sdk.ResponseCompletedEvent:
			last = e.Response
		case nil:
			t.Errorf("the client does not know %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if text != "Hello!" || thought != "Hm." || arguments != "{}" || last.OutputText() != "Hello!" || last.Usage.InputTokensDetails.CachedTokens != 4 {
		t.Errorf("text %q, reasoning %q, arguments %q, response %s", text, thought, arguments, last.RawJSON())
	}
	if last.Output[0].AsReasoning().Content[0].Text != "Hm." || last.Output[2].AsFunctionCall().CallID != "call_0" {
		t.Errorf("output %s", last.RawJSON())
	}
}

// TestClientGoesOn has the client's other methods used one after the other.
func TestClientGoesOn(t *testing.T) {
	url, a := serve(t, model{content("Hello!")})
	c := connect(url)
	ctx := t.Context()
	first, err := c.Responses.New(ctx, sdk.ResponseNewParams{Model: "gpt-oss-demo", Input: sdk.ResponseNewParamsInputUnion{OfString: openai.String("hi")}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Responses.New(ctx, sdk.ResponseNewParams{
		Model: "gpt-oss-demo", PreviousResponseID: openai.String(first.ID), Background: openai.Bool(true),
		Input: sdk.ResponseNewParamsInputUnion{OfInputItemList: []sdk.ResponseInputItemUnionParam{sdk.ResponseInputItemParamOfMessage("more", sdk.EasyInputMessageRoleUser)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Close(errors.New("the test wants it to have ended")) // it has nothing to wait for, so that it ends by itself
	got, err := c.Responses.Get(ctx, second.ID, sdk.ResponseGetParams{})
	if err != nil || got.OutputText() != "Hello!" || got.Status != sdk.ResponseStatusCompleted {
		t.Errorf("got %v, %v", got, err)
	}
	count := 0
	for items := c.Responses.InputItems.ListAutoPaging(ctx, second.ID, sdk.InputItemListParams{Limit: openai.Int(1), Include: []sdk.ResponseIncludable{"reasoning.encrypted_content"}}); items.Next(); {
		count++
	}
	if count != 3 {
		t.Errorf("%d items", count)
	}
	if _, err := c.Responses.Cancel(ctx, second.ID); err != nil {
		t.Error(err)
	}
	if err := c.Responses.Delete(ctx, second.ID); err != nil {
		t.Error(err)
	}
	_, err = c.Responses.Get(ctx, second.ID, sdk.ResponseGetParams{})
	if e, ok := errors.AsType[*openai.Error](err); !ok || e.StatusCode != http.StatusNotFound || e.Type != "not_found_error" {
		t.Errorf("got %v", err)
	}
}
