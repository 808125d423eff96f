"""The official OpenAI client for Python."""
import openai_chat
import openai_errors
import openai_json
import openai_responses
import openai_tools
from kit import play

play({**openai_chat.SCENARIOS, **openai_tools.SCENARIOS, **openai_json.SCENARIOS, **openai_errors.SCENARIOS, **openai_responses.SCENARIOS})
