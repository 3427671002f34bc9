"""What the page says, in each language, and which language a browser prefers."""

LANGUAGES = {"en": "English", "pt": "Português"}
DEFAULT = "en"

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "html_lang": "en",
        "title": "Pneumonia on chest X-rays",
        "question": "Does this chest X\N{NON-BREAKING HYPHEN}ray show pneumonia?",
        "lead": "For X-rays of children aged one to five. The answer is a probability, with the model that gave it.",
        "not_device": "Not a medical device",
        "not_device_more": "For research and teaching only. Never decide about a patient by what stands here.",
        "skip": "Skip to the upload",
        "drop": "Drop an X-ray here",
        "or_choose": "or choose one or several",
        "types": "JPEG, PNG or DICOM, up to 32 MB each. Pictures are neither kept nor logged.",
        "choose": "Choose X-rays",
        "send": "Analyse",
        "results": "Results",
        "clear": "Clear",
        "file": "File",
        "answer": "Answer",
        "probability": "Probability of pneumonia",
        "threshold": "Threshold",
        "model": "Model",
        "version": "version",
        "PNEUMONIA": "Pneumonia",
        "NORMAL": "No pneumonia",
        "above": "At or above the threshold of {threshold}",
        "below": "Below the threshold of {threshold}",
        "bar": "Probability of pneumonia {probability}, threshold {threshold}",
        "computed_by": "Computed by {name} version {version}",
        "request": "Request",
        "preview": "The X-ray that you chose",
        "no_preview": "No preview",
        "working": "Analysing {done} of {total}…",
        "finished": "{total} analysed.",
        "offline": "The server did not answer. Check the connection and try again.",
        "waiting": "The server is busy; trying again…",
        "not_answered": "No answer",
        "now_serving": "Now answering: version {version}",
        "no_model": "No model is loaded yet",
        "about_model": "How good is this model?",
        "about_numbers": "Measured on patients whom no training saw. In brackets: 95% confidence interval.",
        "no_numbers": "This version carries no evaluation numbers.",
        "auc": "Area under the ROC curve",
        "accuracy": "Accuracy",
        "sensitivity": "Sensitivity (pneumonia found)",
        "specificity": "Specificity (normal recognised)",
        "about_limits": "Learnt from X-rays of children at one hospital; anything else is outside what it knows.",
        "api": "API",
        "mlflow": "Experiments (MLflow)",
        "home": "Home",
        "language": "Language",
        "api_title": "The API",
        "api_lead": "The same answers for programs. The machine-readable description is at",
        "example": "Example",
        "body": "Body",
        "answers": "Answers",
        "problems": "Problems",
        "problems_lead": "Every error is a problem document (RFC 9457) whose code is one of these.",
        "code": "Code",
        "status": "Status",
        "meaning": "Meaning",
        "problem.malformed-form": "The upload arrived damaged. Send it again.",
        "problem.no-file": "Choose a picture first.",
        "problem.too-many-files": "Too many pictures at once.",
        "problem.slow-upload": "The upload took too long. Try again on a better connection.",
        "problem.body-too-large": "This file is too large.",
        "problem.image-too-large": "This picture is too large.",
        "problem.unsupported-image": "This is not a JPEG, PNG or DICOM picture.",
        "problem.unsupported-media-type": "This is not a JPEG, PNG or DICOM picture.",
        "problem.undecodable-image": "This file is damaged and cannot be read as a picture.",
        "problem.not-a-chest-xray": "This does not look like a chest X-ray, so no answer is given.",
        "problem.no-finite-answer": "The model has no answer for this picture.",
        "problem.no-model": "No model is loaded yet. Try again in a moment.",
        "problem.busy": "The server is busy. Try again in a moment.",
        "problem.too-slow": "The answer took too long. Try again in a moment.",
        "problem.stopping": "The server is about to stop. Try again in a moment.",
        "problem.other": "The server could not answer.",
    },
    "pt": {
        "html_lang": "pt-BR",
        "title": "Pneumonia em radiografias de tórax",
        "question": "Esta radiografia de tórax mostra pneumonia?",
        "lead": "Para radiografias de crianças de um a cinco anos. A resposta é uma probabilidade, com seu modelo.",
        "not_device": "Não é um dispositivo médico",
        "not_device_more": "Somente para pesquisa e ensino. Nunca decida sobre um paciente pelo que está aqui.",
        "skip": "Ir para o envio",
        "drop": "Solte uma radiografia aqui",
        "or_choose": "ou escolha uma ou várias",
        "types": "JPEG, PNG ou DICOM, até 32 MB cada. As imagens não são guardadas nem registradas.",
        "choose": "Escolher radiografias",
        "send": "Analisar",
        "results": "Resultados",
        "clear": "Limpar",
        "file": "Arquivo",
        "answer": "Resposta",
        "probability": "Probabilidade de pneumonia",
        "threshold": "Limiar",
        "model": "Modelo",
        "version": "versão",
        "PNEUMONIA": "Pneumonia",
        "NORMAL": "Sem pneumonia",
        "above": "No limiar de {threshold} ou acima dele",
        "below": "Abaixo do limiar de {threshold}",
        "bar": "Probabilidade de pneumonia {probability}, limiar {threshold}",
        "computed_by": "Calculado por {name} versão {version}",
        "request": "Requisição",
        "preview": "A radiografia que você escolheu",
        "no_preview": "Sem prévia",
        "working": "Analisando {done} de {total}…",
        "finished": "{total} analisadas.",
        "offline": "O servidor não respondeu. Verifique a conexão e tente de novo.",
        "waiting": "O servidor está ocupado; tentando de novo…",
        "not_answered": "Sem resposta",
        "now_serving": "Agora responde: versão {version}",
        "no_model": "Nenhum modelo carregado ainda",
        "about_model": "Quão bom é este modelo?",
        "about_numbers": "Medido em pacientes que nenhum treino viu. Entre colchetes: intervalo de confiança de 95%.",
        "no_numbers": "Esta versão não traz números de avaliação.",
        "auc": "Área sob a curva ROC",
        "accuracy": "Acurácia",
        "sensitivity": "Sensibilidade (pneumonia encontrada)",
        "specificity": "Especificidade (normal reconhecido)",
        "about_limits": "Aprendeu com radiografias de crianças de um só hospital; o resto está fora do que conhece.",
        "api": "API",
        "mlflow": "Experimentos (MLflow)",
        "home": "Início",
        "language": "Idioma",
        "api_title": "A API",
        "api_lead": "As mesmas respostas para programas. A descrição legível por máquina está em",
        "example": "Exemplo",
        "body": "Corpo",
        "answers": "Respostas",
        "problems": "Problemas",
        "problems_lead": "Todo erro é um documento de problema (RFC 9457) cujo código é um destes.",
        "code": "Código",
        "status": "Status",
        "meaning": "Significado",
        "problem.malformed-form": "O envio chegou danificado. Envie de novo.",
        "problem.no-file": "Escolha uma imagem primeiro.",
        "problem.too-many-files": "Imagens demais de uma só vez.",
        "problem.slow-upload": "O envio demorou demais. Tente de novo com uma conexão melhor.",
        "problem.body-too-large": "Este arquivo é grande demais.",
        "problem.image-too-large": "Esta imagem é grande demais.",
        "problem.unsupported-image": "Isto não é uma imagem JPEG, PNG ou DICOM.",
        "problem.unsupported-media-type": "Isto não é uma imagem JPEG, PNG ou DICOM.",
        "problem.undecodable-image": "Este arquivo está danificado e não pode ser lido como imagem.",
        "problem.not-a-chest-xray": "Isto não parece uma radiografia de tórax; por isso não há resposta.",
        "problem.no-finite-answer": "O modelo não tem resposta para esta imagem.",
        "problem.no-model": "Nenhum modelo carregado ainda. Tente de novo em instantes.",
        "problem.busy": "O servidor está ocupado. Tente de novo em instantes.",
        "problem.too-slow": "A resposta demorou demais. Tente de novo em instantes.",
        "problem.stopping": "O servidor vai parar. Tente de novo em instantes.",
        "problem.other": "O servidor não pôde responder.",
    },
}


def choose_language(asked: str | None, accept_language: str) -> str:
    """The language of a page: the one asked for by `?lang=`, else the browser's most preferred that we have."""
    if asked in LANGUAGES:
        return asked
    ranked: list[tuple[float, str]] = []
    for entry in accept_language.split(",")[:20]:
        tag, _, quality = entry.strip().partition(";")
        language = tag.strip().lower().split("-")[0]
        if language in LANGUAGES:
            ranked.append((_quality(quality), language))
    best = max(ranked, key=lambda item: item[0], default=(0.0, DEFAULT))
    return best[1] if best[0] > 0 else DEFAULT


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def percent(value: float, language: str) -> str:
    """A probability as a percentage with one decimal; never 0 or 100, which would claim certainty."""
    if value >= 0.9995:
        text = ">99.9%"
    elif value < 0.0005:
        text = "<0.1%"
    else:
        text = f"{100 * value:.1f}%"
    return text.replace(".", ",") if language == "pt" else text
