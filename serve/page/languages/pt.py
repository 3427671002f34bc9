"""Brazilian Portuguese."""

WORDS: dict[str, str] = {
    "html_lang": "pt-BR",
    "title": "Pneumonia em radiografias de tórax",
    "question": "Esta radiografia de tórax mostra pneumonia?",
    "lead": (
        "Para radiografias de crianças de um a cinco anos. A resposta é uma probabilidade e indica o modelo que a deu."
    ),
    "not_device": "Não é um dispositivo médico",
    "not_device_more": (
        "Somente para pesquisa e ensino. Nunca tome uma decisão sobre um paciente com base nesta página."
    ),
    "skip": "Ir para o conteúdo",
    "drop": "Solte uma radiografia aqui",
    "or_choose": "ou escolha uma ou várias",
    "types": "JPEG, PNG ou DICOM, até 32 MB cada. As imagens não são armazenadas nem registradas em log.",
    "choose": "Escolher radiografias",
    "send": "Analisar",
    "results": "Resultados",
    "clear": "Limpar",
    "file": "Arquivo",
    "answer": "Resposta",
    "probability": "Probabilidade de pneumonia",
    "of_probability": "de probabilidade de pneumonia",
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
    "working": "Analisando {done} de {total}…",
    "finished": "{total} analisadas.",
    "offline": "O servidor não respondeu. Verifique a conexão e tente de novo.",
    "waiting": "O servidor está ocupado; tentando de novo…",
    "not_answered": "Sem resposta",
    "now_serving": "Agora em uso: versão {version}",
    "no_model": "Nenhum modelo carregado ainda",
    "example_picture": "Experimentar uma radiografia gerada",
    "no_replica": "O servidor está se preparando",
    "no_replica_more": (
        "Ele responde assim que houver um modelo. Um primeiro treinamento com radiografias geradas leva um ou dois "
        "minutos. Esta página se atualiza sozinha."
    ),
    "about_model": "Quão bom é este modelo?",
    "about_numbers": (
        "Medido em pacientes que não foram usados no treino. Entre colchetes: intervalo de confiança de 95%."
    ),
    "numbers.test": "Em radiografias separadas de tudo (test/)",
    "numbers.site": "Em radiografias do local para o qual foi recalibrado",
    "numbers.held_out": "Em pacientes separados dos dados de treino",
    "numbers.held_out_shifted": (
        "Nas radiografias dos mesmos pacientes, como outro lugar poderia tê-las feito e processado"
    ),
    "no_numbers": "Esta versão não tem resultados de avaliação.",
    "auc": "Área sob a curva ROC",
    "accuracy": "Acurácia",
    "sensitivity": "Sensibilidade (pneumonia encontrada)",
    "specificity": "Especificidade (normal reconhecido)",
    "about_limits": "Ele aprendeu com radiografias de crianças de um só hospital. Não conhece nada além disso.",
    "api": "API",
    "mlflow": "Experimentos (MLflow)",
    "language": "Idioma",
    "api_title": "A API",
    "api_lead": "As mesmas respostas para programas, descritas em inglês. A descrição legível por máquina está em",
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
    "problem.body-too-large": "Este arquivo é grande demais. Envie um de no máximo 32 MB.",
    "problem.image-too-large": "Esta imagem é grande demais. Envie uma de no máximo 32 MB e 25 milhões de pixels.",
    "problem.unsupported-image": (
        "Este tipo de arquivo não é aceito. Envie uma única imagem em tons de cinza, em JPEG, PNG ou DICOM."
    ),
    "problem.unsupported-media-type": (
        "Este tipo de arquivo não é aceito. Envie uma única imagem em tons de cinza, em JPEG, PNG ou DICOM."
    ),
    "problem.undecodable-image": (
        "Não foi possível ler uma radiografia deste arquivo. Exporte-a de novo e envie o arquivo inteiro."
    ),
    "reason.blank": "Esta imagem está vazia: todos os pixels têm o mesmo cinza.",
    "reason.coloured": "Esta imagem é colorida, e radiografias são em tons de cinza.",
    "reason.inverted": "O preto e o branco estão trocados nesta radiografia. Inverta-a para que o osso fique branco.",
    "reason.sideways": "Esta radiografia está deitada de lado. Gire-a para que a cabeça fique para cima.",
    "reason.upside-down": "Esta radiografia está de cabeça para baixo. Gire-a para que a cabeça fique para cima.",
    "reason.no-lungs": (
        "Não foram encontrados pulmões nesta imagem. Envie uma radiografia frontal de tórax, com ambos os pulmões."
    ),
    "reason.unlike-training": "Isto não parece uma radiografia de tórax; por isso não há resposta.",
    "problem.no-finite-answer": "O modelo não tem resposta para esta imagem.",
    "problem.unsure": (
        "A resposta ficaria perto demais do limiar; por isso não é dada. Peça a uma pessoa que leia a radiografia."
    ),
    "problem.no-model": "Nenhum modelo carregado ainda. Tente de novo em instantes.",
    "problem.busy": "O servidor está ocupado. Tente de novo em instantes.",
    "problem.too-slow": "A resposta demorou demais. Tente de novo em instantes.",
    "problem.no-replica": "O servidor não respondeu. Tente de novo em instantes.",
    "problem.stopping": "O servidor vai parar. Tente de novo em instantes.",
    "problem.other": "O servidor não pôde responder.",
    "more": "Evidência e feedback",
    "feedback": "Estava certo?",
    "right": "Certo",
    "wrong": "Errado",
    "saving": "Salvando o seu feedback…",
    "confirmed": "Salvo: confirmado.",
    "corrected": "Salvo: corrigido.",
    "not_saved": "Não foi possível salvar o seu feedback. Tente de novo.",
    "evidence": "Mostrar a evidência",
    "evidence_short": "Evidência",
    "plain": "Mostrar só a radiografia",
    "explaining": "Calculando a evidência…",
    "overlay_alt": "A radiografia, com a evidência em laranja",
    "evidence_caption": (
        "Laranja: regiões que dão ao modelo mais certeza de pneumonia. Não é o contorno de uma doença. "
        "A linha fina azul-esverdeada: onde o modelo procurou os pulmões, e não um achado."
    ),
    "close": "Fechar",
    "cancel": "Cancelar",
    "progress": "Radiografias analisadas",
    "send_an_xray": "Envie uma radiografia frontal de tórax de criança: inteira, com a cabeça para cima e sem moldura.",
    "warning.unlike-training": "Esta imagem é incomum para o modelo. Tenha cautela com a resposta.",
    "warning.generated-model": (
        "O modelo aprendeu com imagens geradas. A resposta não diz nada sobre uma radiografia real."
    ),
    "generated_model": "Este modelo aprendeu com imagens geradas e nunca viu uma radiografia. É uma demonstração.",
    "generated_refusal": "Este modelo só viu imagens geradas; esta pode muito bem ser uma radiografia de tórax.",
    "warning.near-threshold": (
        "A resposta está perto do limiar. Se a mesma radiografia fosse feita de outra forma, poderia receber a outra "
        "resposta."
    ),
    "warning.lungs-at-border": (
        "Os pulmões chegam a uma borda, que pode cobri-los. Envie a radiografia inteira, sem borda."
    ),
    "warning.coloured": "A imagem tem alguma cor, e radiografias são em tons de cinza. Tenha cautela com a resposta.",
    "failure.registry-unreachable": "O registro de modelos não responde. Esta versão continua em uso.",
    "failure.no-production-version": "Nenhuma versão está em Production no momento. Esta versão continua em uso.",
    "failure.refused": "A versão em Production não passou nas verificações. Esta versão continua em uso.",
    "failure.alias-moved": "O alias production foi movido fora das mudanças registradas. Esta versão continua em uso.",
    "failure.history-damaged": (
        "Registros de mudanças de Production faltam ou foram alterados. Esta versão continua em uso."
    ),
    "failure.history-newer": (
        "O registro de modelos é mais antigo que o histórico de Production. Esta versão continua em uso."
    ),
    "failure.not-fetched": "A versão em Production ainda não pôde ser baixada. Esta versão continua em uso.",
    "key": "Chave da API",
    "key_title": "É preciso uma chave da API",
    "key_why": "Este servidor exige uma chave da API. O navegador a guarda até você fechar esta aba.",
    "key_wrong": "O servidor não aceitou esta chave. Confira e tente de novo.",
    "key_use": "Usar esta chave",
    "problem.no-key": "É preciso uma chave da API.",
    "brier": "Escore de Brier (0 é o melhor)",
    "calibration_error": "Erro de calibração (0 é o melhor)",
    "rollout.shadow": (
        "Em shadow até {until}: a versão {version} recebe cópias das mesmas imagens, e ninguém vê as respostas dela. "
        "Comparadas até agora: {pictures}."
    ),
    "rollout.canary": (
        "Em canary até {until}: a versão {version} responde {share} das requisições, {pictures} imagens até agora."
    ),
    "model_card": "Ficha do modelo",
    "about_facts": "Esta versão",
    "fact.model": "Modelo",
    "fact.version": "Versão",
    "fact.trained": "Registrada em",
    "fact.threshold": "Limiar",
    "fact.features": "Características por imagem",
    "fact.train": "Radiografias para treino",
    "fact.held-out": "Radiografias para avaliação",
    "fact.refused": "Radiografias separadas que ele recusa",
    "fact.doubtful": "Radiografias separadas que ele acha incomuns",
    "fact.unsure": "Radiografias separadas com resposta perto do limiar",
    "of_patients": "{pictures}, de {patients} pacientes ({pneumonia} com pneumonia)",
    "about_limits_title": "Limites",
    "about_calibration": (
        "As probabilidades são calibradas em pacientes como estes. Onde a pneumonia é mais rara ou mais "
        "frequente, ficam altas ou baixas demais."
    ),
    "about_scope": (
        "Imagens que não se parecem com as radiografias do treino são recusadas, e as incomuns recebem um "
        "aviso. Essa verificação também pode errar."
    ),
    "about_evidence": "A evidência mostra o que o modelo observa. Ela não mostra onde está uma doença.",
}
