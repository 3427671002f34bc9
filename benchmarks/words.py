"""The words of the benchmarks' tables, in the languages of the READMEs."""

from typing import Literal

Language = Literal["en", "pt-BR"]

HEAD: dict[Language, tuple[str, ...]] = {
    "en": ("what", "ours", "beside it", "ours divided by the other's", "asked", "kept"),
    "pt-BR": ("o quê", "o nosso", "ao lado", "o nosso dividido pelo outro", "pedido", "cumprido"),
}
SERIES: dict[str, dict[Language, str]] = {
    "idle": {
        "en": "requests answered a second with a model that does nothing",
        "pt-BR": "requisições respondidas por segundo com um modelo que não faz nada",
    },
    "real": {"en": "X-rays answered a second", "pt-BR": "radiografias respondidas por segundo"},
    "tail": {
        "en": "99th percentile at half of what the bare app can answer, ms",
        "pt-BR": "percentil 99 com metade do que o app simples suporta, ms",
    },
    "overload": {
        "en": "X-rays answered a second of ten times as many as it can answer",
        "pt-BR": "radiografias respondidas por segundo de dez vezes as que ele suporta",
    },
    "files": {
        "en": "X-rays answered a second, 32 in a request, one request at a time",
        "pt-BR": "radiografias respondidas por segundo, 32 em uma requisição, uma requisição por vez",
    },
    "batch": {
        "en": "X-rays scored a second by `ray_jobs.predict`",
        "pt-BR": "radiografias pontuadas por segundo por `ray_jobs.predict`",
    },
    "features": {
        "en": "from the bytes of an X-ray to its features, one core, ms",
        "pt-BR": "dos bytes de uma radiografia às suas características, um núcleo, ms",
    },
    "difference": {
        "en": "largest difference of a feature from that commit, unless `CODE_VERSION` is another",
        "pt-BR": "maior diferença de uma característica desde esse commit, a menos que `CODE_VERSION` seja outra",
    },
    "start": {
        "en": "imports of a job (`ray_jobs.train`), s",
        "pt-BR": "importações de um job (`ray_jobs.train`), s",
    },
    "page": {
        "en": "from `make run` to the page, everything installed, s (600 generated X-rays; 1,200 in that commit)",
        "pt-BR": "de `make run` até a página, com tudo instalado, s (600 radiografias geradas; 1.200 nesse commit)",
    },
}
CONTESTANTS: dict[str, dict[Language, str]] = {
    "shipped": {"en": "two replicas", "pt-BR": "duas réplicas"},
    "haproxy": {"en": "one replica", "pt-BR": "uma réplica"},
    "python": {"en": "one replica, Ray's own proxy", "pt-BR": "uma réplica, proxy do próprio Ray"},
    "bare": {"en": "bare FastAPI app", "pt-BR": "app FastAPI simples"},
    "mlflow": {"en": "`mlflow models serve`", "pt-BR": "`mlflow models serve`"},
    "triton": {"en": "Triton", "pt-BR": "Triton"},
    "litserve": {"en": "LitServe", "pt-BR": "LitServe"},
    "bentoml": {"en": "BentoML", "pt-BR": "BentoML"},
    "best": {"en": "its best rate", "pt-BR": "a sua melhor taxa"},
    "single": {
        "en": "one in a request, 16 requests at a time",
        "pt-BR": "uma em cada requisição, 16 requisições por vez",
    },
    "ray": {"en": "every core", "pt-BR": "todos os núcleos"},
    "alone": {
        "en": "as many processes as cores, which only score",
        "pt-BR": "tantos processos quantos núcleos, que só pontuam",
    },
    "now": {"en": "", "pt-BR": ""},
    "before": {"en": "commit `{before}`", "pt-BR": "commit `{before}`"},
}
YES: dict[Language, str] = {"en": "yes", "pt-BR": "sim"}
NO: dict[Language, str] = {"en": "**no**", "pt-BR": "**não**"}
NOT_MEASURED: dict[Language, str] = {"en": "not measured", "pt-BR": "não medido"}
RANGE: dict[Language, str] = {
    "en": "{value} ({low} to {high}, {rounds} rounds)",
    "pt-BR": "{value} ({low} a {high}, {rounds} rodadas)",
}
ABOUT: dict[Language, str] = {
    "en": (
        "`{command}` measured this in one run of {minutes} minutes on {date}, at commit `{commit}`, on {cores} cores "
        "({processor}) with {memory_gib} GiB and Python {python}. Before a part, other programs used at most {busy} of "
        "the processors. In brackets are the least and the most of the rounds, in which contestants took turns."
    ),
    "pt-BR": (
        "`{command}` mediu isto em uma só execução de {minutes} minutos em {date}, no commit `{commit}`, com {cores} "
        "núcleos ({processor}), {memory_gib} GiB e Python {python}. Antes de cada parte, outros programas usavam no "
        "máximo {busy} dos processadores. Entre parênteses estão a menor e a maior das rodadas, em que os "
        "participantes se alternaram."
    ),
}
BUSY: dict[Language, str] = {
    "en": " **So the machine was not quiet, and these figures say little of one that is.**",
    "pt-BR": " **A máquina, portanto, não estava livre, e estes números dizem pouco de uma que está.**",
}
COMMAND: dict[Language, str] = {
    "en": "make bench DATA=path/to/chest_xray",
    "pt-BR": "make bench DATA=caminho/para/chest_xray",
}
