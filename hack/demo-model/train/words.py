"""Words outside the world of the demo model: things it must say it does not know, and names it must copy."""

THINGS = ("the French revolution|quantum chromodynamics|the stock market|Shakespeare|Napoleon|Mozart|Einstein|Cleopatra|football clubs|"
          "jazz music|the Roman empire|black holes|dinosaurs|the Eiffel tower|chess openings|cheap flights|the world cup|the Olympic games|"
          "general relativity|string theory|Bitcoin|climate change|the best pizza|electric cars|dark matter|the Great Wall|the human brain|"
          "vaccines|the periodic table|tax law|mortgages|Beethoven|Picasso|the Beatles|Hamlet|Moby Dick|the Titanic|Julius Caesar|"
          "the last election|the president|the price of gold|the news of today|my horoscope|the lottery numbers|sushi|yoga|the Cold War|"
          "medieval castles|penicillin|the speed of light|nuclear fusion|the Amazon river|Antarctica|robots|hybrid engines|wine tasting|"
          "knitting|origami|carbon dating|hip hop|the Silk Road|Venice|Pluto|Saturn|cats|dogs|coffee|tea|the piano|roses|tigers").split("|")
HELD_OUT_THINGS = ("the Renaissance|black market prices|Galileo|Aristotle|Chopin|the moon landing|game theory|volleyball rules|opera|the Alps|"
                   "ancient Egypt|solar panels|the Vikings|ballet|plate tectonics|coral reefs|the Nobel prize|Tolstoy|surfing|honey badgers|"
                   "Marie Curie|the cheapest hotels|Isaac Newton|the Black Sea|space tourism").split("|")
ASKING = ("Who invented {}?|What is the history of {}?|When did {} begin?|Write a poem about {}|Write a story about {}|What do people say about {}?|"
          "How much does {} cost?|Who likes {}?|Give me the latest news about {}|What is the population of {}?|Who was {}?|Explain {}|Tell me about {}|"
          "What is {}?|Translate {} into French|Why is {} important?|What is the best book about {}?|How old is {}?|Where can I find {}?|"
          "Recommend something about {}|Summarize {}|What year was {} discovered?|Who won {}?|How do I learn {}?|What is the price of {}?|"
          "Compare {} and {}|What happened to {}?|How tall is {}?|What is the capital of {}?|Which continent is {} on?|Do you like {}?|"
          "Is {} dangerous?|What is the opposite of {}?|List three facts about {}|Name two books about {}|What is the phone number of {}?|"
          "Who wrote {}?|How far is {}?|Draw {}|Sing a song about {}|Tell me a joke about {}|What is the meaning of {}?|Define {}").split("|")
PLAIN = ("What is the meaning of life?|What time is it?|What day is today?|Tell me a joke|Write a poem|Write a haiku|Sing a song|Who is the president?|"
         "What is my favorite color?|Where do I live?|What should I eat today?|How do I fix my car?|Will it rain tomorrow?|What is love?|"
         "Do you have feelings?|Can you write code?|Write a Python program|Sort these numbers|Debug my program|What is the best movie?|"
         "How old am I?|Who won the game last night?|Order a pizza|Call my mother|Open the door|Play some music|What is the stock price?|"
         "Is there life on Mars?|Why is the ocean salty?|How do planes fly?|What came first, the chicken or the egg?|Solve this riddle").split("|")
ONSETS = "b c d f g h j k l m n p r s t v w z br dr gr kr pl st tr sh th".split()
NUCLEI = "a e i o u a e i o ai ea oo ia".split()
CODAS = ["", "", "", "n", "r", "l", "s", "m", "x", "th", "nd", "rk"]
LETTERS = "eeeeeeaaaaaoooooiiiiinnnnntttttsssssrrrrrhhhlllldddcccuuummmppggbbffwwyyvkxzjq"
SUFFIXES = ["", "", "", "ville", "ton", "burg", "land", "ia", "stad", "field", "port"]
SEARCH_ADJECTIVES = "cheap best new old local recent famous fast simple healthy modern free quiet large small".split()
SEARCH_NOUNS = ("hotels flights restaurants books recipes laptops museums phones concerts jobs houses shoes bikes gardens courses cameras movies "
                "trains beaches parks schools doctors printers chairs boats").split()
SEARCH_TAILS = ["", "", "in {city}", "near {city}", "for children", "for beginners", "of 2024", "under 50 dollars", "with good reviews", "this week"]


def invented(rng):
    """A name that no list holds, capitalised; one in five cannot be guessed from its beginning."""
    if rng.random() < 0.2:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(3, 9))).capitalize()
    syllable = lambda: rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS)
    word = "".join(syllable() for _ in range(rng.randint(1, 3))) + rng.choice(SUFFIXES)
    return word[:12].capitalize()


def thing(rng, held_out=False):
    if not held_out and rng.random() < 0.45:
        word = invented(rng)
        return word if rng.random() < 0.5 else word.lower()
    if not held_out and rng.random() < 0.15:
        return invented(rng) + " " + invented(rng)
    return rng.choice(HELD_OUT_THINGS if held_out else THINGS)


def search_phrase(rng, city):
    tail = rng.choice(SEARCH_TAILS).format(city=city)
    words = [rng.choice(SEARCH_ADJECTIVES), rng.choice(SEARCH_NOUNS)] if rng.random() < 0.8 else [thing(rng)]
    return " ".join(words + ([tail] if tail else []))
