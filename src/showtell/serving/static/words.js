// What the page says, in the browser's language: all of its strings, numbers and places.

export const TABLE = {
  en: {
    title: "Show it a picture.",
    leadCaptioner: "It tells you what it sees, word by word, and where it looked.",
    leadClassifier: "It tells you which of {count} classes it sees, and what gave it away.",
    model: "Model",
    aboutCaptioner: "{backbone} · {count} words",
    aboutClassifier: "{backbone} · {count} classes",
    drop: "Drop a picture here, or paste one",
    dropTouch: "Choose a picture, or take one",
    choose: "Choose a picture",
    another: "Another picture",
    take: "Take a photo",
    camera: "Camera",
    stop: "Stop",
    turn: "Switch camera",
    shutter: "Take the picture",
    look: "Where it looked",
    cells: "Bare grid",
    play: "Play the words",
    picture: "Picture",
    answer: "What it sees",
    looking: "Looking…",
    rate: "{rate} a second",
    caption: "Caption",
    hint: "Point at a word, tap it, or move with the arrow keys to see where the model looked. The line under a word is how sure it was.",
    leaned: "Chosen by what people said of training images like this one",
    weighed: "Sentences it weighed, and how probable each is as a whole",
    nothing: "It found no words.",
    sure: "{percent} sure; looks mostly at the {area}",
    perhaps: "Perhaps {label}",
    heard: "{label}, {percent}",
    unshown: "This browser cannot show this kind of picture.",
    private: "Pictures go only to the computer that runs showtell, and are not kept.",
    again: "Try again",
    busy: "The model has its hands full. Try again in a moment.",
    unreadable: "This picture cannot be read.",
    large: "This picture is too large.",
    lost: "showtell does not answer. Is it still running?",
    slow: "No answer came in time.",
    locked: "showtell asks for its token.",
    token: "Token",
    unlock: "Unlock",
    broken: "Something went wrong.",
    refused: "The browser may not use the camera. Allow it beside the address, then try again.",
    absent: "No camera was found.",
    taken: "Another program is using the camera.",
    insecure: "A browser opens the camera only at localhost or over HTTPS. Choose a picture instead.",
    nopicture: "That is not a picture.",
    areas: [
      ["top left", "top", "top right"],
      ["left", "middle", "right"],
      ["bottom left", "bottom", "bottom right"],
    ],
  },
  ko: {
    title: "사진을 보여 주세요.",
    leadCaptioner: "무엇이 보이는지 한 단어씩 말하고, 어디를 보았는지 보여 줍니다.",
    leadClassifier: "{count}가지 가운데 무엇인지 말하고, 무엇을 보고 알았는지 보여 줍니다.",
    model: "모델",
    aboutCaptioner: "{backbone} · 단어 {count}개",
    aboutClassifier: "{backbone} · {count}가지",
    drop: "사진을 여기에 끌어 놓거나 붙여넣으세요",
    dropTouch: "사진을 고르거나 찍어 보세요",
    choose: "사진 고르기",
    another: "다른 사진",
    take: "사진 찍기",
    camera: "카메라",
    stop: "멈추기",
    turn: "카메라 바꾸기",
    shutter: "찍기",
    look: "어디를 보았는지",
    cells: "격자 그대로",
    play: "단어 차례로 보기",
    picture: "사진",
    answer: "모델이 본 것",
    looking: "보는 중…",
    rate: "초당 {rate}장",
    caption: "설명",
    hint: "단어에 마우스를 올리거나, 누르거나, 화살표 키로 옮기면 모델이 어디를 보았는지 나타납니다. 단어 아래 줄은 모델이 얼마나 확신했는지를 뜻합니다.",
    leaned: "이 사진과 닮은 학습 사진의 설명을 보고 골랐습니다",
    weighed: "저울질한 문장들과 문장 전체의 확률",
    nothing: "단어를 찾지 못했습니다.",
    sure: "확신 {percent}, 주로 {area}을 봄",
    perhaps: "아마도 {label}",
    heard: "{label}, {percent}",
    unshown: "이 브라우저는 이런 형식의 사진을 보여 줄 수 없습니다.",
    private: "사진은 showtell이 실행되는 컴퓨터에만 전달되고, 저장되지 않습니다.",
    again: "다시 시도",
    busy: "모델이 지금 바쁩니다. 잠시 뒤에 다시 시도해 주세요.",
    unreadable: "이 사진을 읽을 수 없습니다.",
    large: "사진이 너무 큽니다.",
    lost: "showtell이 응답하지 않습니다. 아직 실행 중인가요?",
    slow: "제때 답이 오지 않았습니다.",
    locked: "showtell의 토큰이 필요합니다.",
    token: "토큰",
    unlock: "열기",
    broken: "문제가 생겼습니다.",
    refused: "브라우저가 카메라를 쓸 수 없습니다. 주소창 옆에서 허용한 뒤 다시 시도해 주세요.",
    absent: "카메라를 찾지 못했습니다.",
    taken: "다른 프로그램이 카메라를 쓰고 있습니다.",
    insecure: "브라우저는 localhost나 HTTPS에서만 카메라를 엽니다. 대신 사진을 골라 주세요.",
    nopicture: "사진이 아닙니다.",
    areas: [
      ["왼쪽 위 부분", "위쪽 부분", "오른쪽 위 부분"],
      ["왼쪽 부분", "가운데 부분", "오른쪽 부분"],
      ["왼쪽 아래 부분", "아래쪽 부분", "오른쪽 아래 부분"],
    ],
  },
};

/** The first of the browser's languages that the page speaks. */
export const language =
  (navigator.languages ?? [navigator.language]).map((name) => name.slice(0, 2).toLowerCase()).find((name) => name in TABLE) ?? "en";

/** Say a string of the table; `{name}` in it stands for a value. */
export const say = (key, values = {}) => TABLE[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** Name a ninth of the picture: row and column, each 0 to 2. */
export const sayArea = (row, column) => TABLE[language].areas[row][column];

export const count = (number) => new Intl.NumberFormat(language).format(number);

const percentFormat = (options) => new Intl.NumberFormat(language, { style: "percent", ...options });
const whole = percentFormat({ maximumFractionDigits: 0 });
const fine = percentFormat({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const rough = percentFormat({ maximumSignificantDigits: 2 });
export const percent = (share) => whole.format(share);
export const finePercent = (share) => fine.format(share);

/** Write a small probability with two digits that count; below a millionth it is only said to be smaller. */
export const roughPercent = (share) => (share < 1e-6 ? `< ${rough.format(1e-6)}` : rough.format(share));

/** Fill in every element that names its string: `data-say` its text, `data-say-label` what it is called. */
export const fillIn = () => {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-say]").forEach((element) => { element.textContent = say(element.dataset.say); });
  document.querySelectorAll("[data-say-label]").forEach((element) => {
    element.setAttribute("aria-label", say(element.dataset.sayLabel));
    if (element.tagName === "BUTTON") element.title = say(element.dataset.sayLabel);
  });
};
