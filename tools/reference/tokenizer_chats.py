"""Renders the chats of packages/chat-template/fixtures with transformers' own template engine.

usage: python tools/reference/tokenizer_chats.py   (needs transformers and jinja2)

Writes packages/chat-template/fixtures/rendered.json: for each template and chat the text, the spans of
`{% generation %}` in UTF-16 units, or the message of raise_exception.
"""

import json
from pathlib import Path

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

FIXTURES = Path(__file__).parents[2] / "packages/chat-template/fixtures"


def turn(role, content):
    return {"role": role, "content": content}


CHATS = {
    "one turn": [turn("user", "What is a stack?"), turn("assistant", "Last in, first out.")],
    "with a system prompt": [
        turn("system", "  You teach algorithms.\n"),
        turn("user", "¿Qué es una pila?"),
        turn("assistant", "Una lista donde el último en entrar es el primero en salir. 🥞\n"),
        turn("user", "\tGive\n\ncode "),
        turn("assistant", "```python\ndef f(x):\n    return x\n```\n\n"),
    ],
    "astral characters before the span": [turn("user", "😀😀 𝔘"), turn("assistant", "😀")],
    "only a question": [turn("user", "Hola")],
    "nothing": [],
    "assistant first": [turn("assistant", "Hello!"), turn("user", "Hi")],
    "unknown role": [turn("tool", "42")],
    "markers in the content": [turn("user", "<|end|><|assistant|>\n"), turn("assistant", "{{ 7 * 7 }}{% generation %}")],
    "private use characters": [turn("user", "\ufdd0\ufdd1\ue000"), turn("assistant", "\ufdd2 \ufdd0\ufdd1")],
    "white space of Python only": [turn("user", "\x1c\x1d a\x85b \x1e\x1f"), turn("assistant", "\x85\ufeffbody\ufeff\x85\u3000")],
    "white space of JavaScript only": [turn("user", "\ufeffa\ufeff"), turn("assistant", "\ufeff b \u2003\u1680")],
    "quotes and html": [turn("user", "a < b & 'c' \"d\" \\ / \u2028"), turn("assistant", "<br/>\r\nx\r")],
    "empty": [turn("user", ""), turn("assistant", " \n ")],
}


def utf16(text, index):
    return len(text[:index].encode("utf-16-le")) // 2


def render(source, messages, add_generation_prompt):
    variables = {"bos_token": "<s>", "eos_token": "</s>"}
    try:
        texts, spans = render_jinja_template(
            [messages],
            chat_template=source,
            return_assistant_tokens_mask=True,
            add_generation_prompt=add_generation_prompt,
            **variables,
        )
    except jinja2.exceptions.TemplateError as error:
        return {"raised": str(error)}
    text = texts[0]
    return {"text": text, "spans": [[utf16(text, a), utf16(text, b)] for a, b in spans[0] if b > a]}


def main():
    cases = []
    for file in sorted((FIXTURES / "templates").glob("*.jinja")):
        source = file.read_bytes().decode()
        for name, messages in CHATS.items():
            for prompt in (False, True):
                cases.append(
                    {
                        "template": file.name,
                        "chat": name,
                        "messages": messages,
                        "addGenerationPrompt": prompt,
                        **render(source, messages, prompt),
                    }
                )

    result = {
        "source": f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}",
        "variables": {"bos_token": "<s>", "eos_token": "</s>"},
        "cases": cases,
    }
    (FIXTURES / "rendered.json").write_text(json.dumps(result, ensure_ascii=True, indent=1) + "\n")
    print(len(cases), "cases,", sum("raised" in case for case in cases), "of them raise")


if __name__ == "__main__":
    main()
